"""Our nginx configuration, run by the nginx of this machine before real web processes."""

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from ssl import SSLContext, create_default_context
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from django.conf import settings

from callcenter import leash
from tests.processes import LEASHED, free_port, needed
from tests.waiting import until

CONFIGURATION = Path(settings.BASE_DIR) / "deploy" / "nginx"


@dataclass(frozen=True)
class Edge:
    port: int
    plain_port: int
    trust: SSLContext
    log: Path

    @property
    def url(self) -> str:
        return f"https://localhost:{self.port}"


@contextmanager
def edge(home: Path, *webs: str) -> Iterator[Edge]:
    """In front of the web processes at these addresses."""
    nginx = needed("nginx")
    port, plain_port = free_port(), free_port()
    conf = configured(home, webs, f"127.0.0.1:{port} ssl", f"127.0.0.1:{plain_port}")
    log = home / "nginx.log"
    # Started by root, its workers would be nobody and have no way into our directories.
    rights = "user root; " if os.geteuid() == 0 else ""
    words = [nginx, "-e", "stderr", "-p", str(home), "-c", str(conf / "nginx.conf")]
    with log.open("wb") as output:
        checked = subprocess.run([*words, "-t"], capture_output=True, text=True)
        assert checked.returncode == 0, checked.stderr
        program = [*LEASHED, *words, "-g", f"{rights}daemon off;"]
        process = leash.spawn(program, cwd=settings.BASE_DIR, stdout=output, stderr=output)
    try:
        until(lambda: _listens(port), 10, "nginx")
        trust = create_default_context(cafile=conf / "tls" / "certificate.pem")
        yield Edge(port, plain_port, trust, log)
    finally:
        process.terminate()
        process.communicate(timeout=20)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def configured(home: Path, webs: tuple[str, ...], listen: str, listen_plain: str) -> Path:
    """The configuration as it is, but for what differs from place to place."""
    conf = home / "conf"
    shutil.copytree(CONFIGURATION, conf)
    certify(conf / "tls")
    servers = " ".join(
        f"server {urlsplit(web).netloc} max_fails=2 fail_timeout=5s;" for web in webs
    )
    (conf / "upstream.conf").write_text(f"upstream web {{ {servers} keepalive 8; }}")
    (conf / "listen.conf").write_text(f"listen {listen};")
    (conf / "listen_plain.conf").write_text(f"listen {listen_plain};")
    return conf


def certify(folder: Path) -> None:
    """A certificate for localhost, signed by itself."""
    folder.mkdir()
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    secret = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "key.pem").write_bytes(secret)
    (folder / "certificate.pem").write_bytes(certificate.public_bytes(pem))
