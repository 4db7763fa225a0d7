"""What calls cost on disk: `python -m tests.load.disk`.

Stores calls of so many minutes, packet by packet and many at once as a PBX does, in an embedded
PostgreSQL of its own; prints a table for packets of several lengths, and what an archive holds.
"""

import base64
import os
import random
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

HOME = Path(tempfile.mkdtemp(prefix="callcenter-disk-"))
os.environ.update(DATA_DIR=str(HOME), DJANGO_SETTINGS_MODULE="callcenter.settings")
os.environ.setdefault("LOG_LEVEL", "ERROR")

import django  # noqa: E402

django.setup()

from django.core.management import call_command  # noqa: E402
from django.db import connection  # noqa: E402
from django.utils import timezone  # noqa: E402

from callcenter.embedded.engines import serving  # noqa: E402
from calls.ingest.numbering import Arrival  # noqa: E402
from calls.ingest.store import store  # noqa: E402
from calls.models import Call  # noqa: E402
from calls.records import files  # noqa: E402

MINUTES = 2
CALLS = 50  # at the same time
LENGTHS = (20, 60, 200, 1000)  # milliseconds a packet
RATE = 8000  # bytes a second: G.711


def packets(run: str, milliseconds: int) -> Iterator[list[Arrival]]:
    """Round by round the next packet of each call and track."""
    draw = random.Random(7)
    for number in range(MINUTES * 60_000 // milliseconds):
        yield [
            Arrival(
                call_id=f"{run}-{call}",
                sequence=2 * number + place,
                data=base64.b64encode(draw.randbytes(RATE * milliseconds // 1000)).decode(),
                timestamp=number * milliseconds / 1000 + 1,
                track=track,
            )
            for call in range(CALLS)
            for place, track in enumerate(("inbound", "outbound"))
        ]


def sizes() -> dict[str, int]:
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE calls_packet")
        cursor.execute("""
            SELECT count(*), pg_relation_size('calls_packet'),
                   pg_indexes_size('calls_packet'),
                   pg_total_relation_size(reltoastrelid),
                   pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::bigint
            FROM calls_packet, pg_class WHERE pg_class.oid = 'calls_packet'::regclass
            GROUP BY reltoastrelid
        """)
        row = cursor.fetchone() or (0, 0, 0, 0, 0)
    return dict(zip(("rows", "table", "index", "toast", "wal"), row, strict=True))


def measure(milliseconds: int) -> str:
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE calls_packet")
        cursor.execute("CHECKPOINT")
        cursor.execute("SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::bigint")
        [before] = cursor.fetchone() or (0,)
    for some in packets(f"m{milliseconds}", milliseconds):
        store(some, now=timezone.now())
    found = sizes()
    whole = found["table"] + found["index"] + found["toast"]
    audio = CALLS * 2 * MINUTES * 60 * RATE
    cells = [
        f"{milliseconds} ms",
        *(f"{found[part] / found['rows']:.0f}" for part in ("table", "index", "toast")),
        f"{whole / found['rows']:.0f}",
        f"{whole / (CALLS * 2 * MINUTES) / 1e6:.2f}",
        f"{whole / audio:.2f}",
        f"{(found['wal'] - before) / found['rows']:.0f}",
    ]
    return f"| {' | '.join(cells)} |"


def archive() -> str:
    """What is kept of a call once it is archived."""
    sizes = Counter[str]()
    for recording in files.write(Call.objects.latest("pk"), now=timezone.now()).recordings:
        sizes[recording.kind] += recording.bytes
    parts = ", ".join(f"{kind} {size / 2 / MINUTES / 1e6:.2f}" for kind, size in sizes.items())
    return f"archived, MB a minute and track: {parts}"


def main() -> None:
    print(
        "| packet | table | index | TOAST | bytes a packet | MB a minute and track | times its"
        " audio | WAL a packet |"
    )
    print("|---|---|---|---|---|---|---|---|")
    with serving(HOME):
        call_command("migrate", verbosity=0)
        for milliseconds in LENGTHS:
            print(measure(milliseconds), flush=True)
            print(archive(), flush=True)


if __name__ == "__main__":
    main()
