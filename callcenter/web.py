"""The web process, `python -m callcenter.web`: uvicorn with bounds on what a client may hold."""

import os

import uvicorn
from django.conf import settings


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "callcenter.settings")
    os.environ["CALLCENTER_ROLE"] = "web"
    uvicorn.run(
        "callcenter.asgi:application",
        host=settings.HOST,
        port=settings.PORT,
        workers=settings.WEB_PROCESSES,
        access_log=False,
        # Its messages go where ours go.
        log_config=None,
        log_level="warning",
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=30,
        timeout_graceful_shutdown=5,
        ws_max_size=65536,
        ws_ping_interval=20,
        ws_ping_timeout=20,
        # The same news goes to many sockets: compressing it for each would hold up the packets.
        ws_per_message_deflate=False,
    )


if __name__ == "__main__":
    main()
