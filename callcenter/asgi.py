"""The doors: HTTP and sockets."""

import gc
import os

from channels.auth import AuthMiddlewareStack
from channels.routing import ProtocolTypeRouter, URLRouter
from django.core.asgi import get_asgi_application

from callcenter.limits import BodyLimit

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "callcenter.settings")
os.environ.setdefault("CALLCENTER_ROLE", "web")
http = get_asgi_application()

# Consumers need the models, which get_asgi_application() loads.
from callcenter import sockets  # noqa: E402
from callcenter.lane import IngestLane  # noqa: E402

application = ProtocolTypeRouter(
    {
        "http": BodyLimit(IngestLane(http)),
        "websocket": AuthMiddlewareStack(URLRouter(sockets.routes)),
    }
)

# What is loaded by now stays for good: walking it would stall requests for nothing.
gc.collect()
gc.freeze()
