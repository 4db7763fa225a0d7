"""nginx in front of web processes, with what matters when they come and go."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from django.conf import settings

from callcenter import leash
from tests.processes import LEASHED, answers, free_port, needed
from tests.waiting import until

CONFIGURATION = """\
{rights}
daemon off;
pid nginx.pid;
worker_processes 1;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    client_body_temp_path bodies;
    proxy_temp_path answers;
    fastcgi_temp_path unused1;
    uwsgi_temp_path unused2;
    scgi_temp_path unused3;
    upstream web {{
        # One that refuses is asked again with the next request: it may just have been replaced.
        {servers}
        keepalive 16;
    }}
    server {{
        listen 127.0.0.1:{port};
        proxy_http_version 1.1;
        proxy_set_header Host $http_host;
        proxy_set_header Connection "";
        proxy_connect_timeout 2s;
        proxy_next_upstream error timeout;
        location / {{ proxy_pass http://web; }}
        # A packet that a dying process took and another gets again is stored once.
        location /v1/call/stream/ {{
            proxy_next_upstream error timeout non_idempotent;
            proxy_pass http://web;
        }}
    }}
}}
"""


@contextmanager
def nginx(home: Path, *webs: str) -> Iterator[str]:
    """Its address; skips aloud where there is none."""
    program = needed("nginx")
    port = free_port()
    (home / "nginx.conf").write_text(_configuration(port, webs))
    words = [*LEASHED, program, "-e", "stderr", "-p", str(home), "-c", str(home / "nginx.conf")]
    with (home / "nginx.log").open("ab") as log:
        process = leash.spawn(words, cwd=settings.BASE_DIR, stdout=log, stderr=log)
    url = f"http://127.0.0.1:{port}"
    try:
        until(lambda: answers(f"{url}/health"), 10, "an answer of nginx")
        yield url
    finally:
        process.terminate()
        process.communicate(timeout=20)


def _configuration(port: int, webs: tuple[str, ...]) -> str:
    servers = " ".join(f"server {urlsplit(web).netloc} max_fails=0;" for web in webs)
    # Started by root, its workers would be nobody and have no way into our directories.
    rights = "user root;" if os.geteuid() == 0 else ""
    return CONFIGURATION.format(rights=rights, servers=servers, port=port)
