"""The doors: HTTP and sockets."""

import gc
import os

import django
from channels.auth import AuthMiddlewareStack
from channels.routing import ProtocolTypeRouter, URLRouter

from callcenter.limits import BodyLimit

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "callcenter.settings")
os.environ.setdefault("CALLCENTER_ROLE", "web")
django.setup(set_prefix=False)

# These need the settings, or the models, which setup() loads.
from callcenter import sockets  # noqa: E402
from callcenter.handler import OneThread  # noqa: E402
from callcenter.lane import IngestLane  # noqa: E402
from callcenter.lifespan import lifespan  # noqa: E402
from callcenter.requests import Requests  # noqa: E402

application = ProtocolTypeRouter(
    {
        "http": Requests(BodyLimit(IngestLane(OneThread()))),
        "lifespan": lifespan,
        "websocket": Requests(sockets.PbxFirst(AuthMiddlewareStack(URLRouter(sockets.routes)))),
    }
)

# What is loaded by now stays for good: walking it would stall requests for nothing.
gc.collect()
gc.freeze()
