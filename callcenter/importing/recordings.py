"""One recording after the other: announced, sent, ended.

The id of a call comes from the bytes of its file: who imports it again, or goes on after a stop,
doubles nothing.
"""

import hashlib
import re
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from callcenter.importing.sound import packets
from callcenter.simulator.http import MEDIA
from callcenter.simulator.line import Line, Refused
from callcenter.simulator.packets import Packet
from callcenter.sound.wav import NotAWav, open_wav

AT_ONCE = 500  # packets a request


async def import_all(line: Line, files: Sequence[Path]) -> None:
    """What cannot be read or is refused is told, and the others go on."""
    for path in dict.fromkeys(files):
        line.tally.calls += 1
        try:
            await _import(line, path)
        except (NotAWav, OSError, Refused) as error:
            line.tally.refuse_request(f"{path}: {error}")


async def _import(line: Line, path: Path) -> None:
    wav, call_id = open_wav(path), id_of(path)
    began = max(path.stat().st_mtime, 1.0)
    about = {"direction": "inbound", "media": MEDIA, "metadata": {"file": path.name[:200]}}
    await line.request("PUT", f"/v1/call/{call_id}", about)
    rest = packets(wav)
    while batch := list(islice(rest, AT_ONCE)):
        await _send(line, path, [_as_json(packet, call_id, began) for packet in batch])
    await line.request("POST", f"/v1/call/{call_id}/end", {"reason": "imported"})
    line.tally.say(f"{path} is call {call_id}: {wav.seconds:.1f} s")


async def _send(line: Line, path: Path, batch: list[dict[str, Any]]) -> None:
    tally = line.tally
    tally.sent += len(batch)
    said = await line.request("POST", "/v1/packets", {"packets": batch})
    rejected = said.get("rejected", [])
    tally.new += said.get("accepted", 0)
    tally.duplicates += said.get("duplicates", 0)
    tally.refused += len(rejected)
    if rejected:
        raise Refused(f"{len(rejected)} packets were rejected: {rejected[0].get('detail')}")


def id_of(path: Path) -> str:
    """Such as `import-4f2a91c05be7-monday_call`."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return f"import-{digest[:12]}-{re.sub(r'[^A-Za-z0-9._-]', '_', path.stem)[:64]}"


def _as_json(packet: Packet, call_id: str, began: float) -> dict[str, Any]:
    return packet.to_json(began) | {"call_id": call_id}
