"""A call put away: its files hold all that its packets held, and nothing in between is lost."""

import base64
import hashlib
import tracemalloc
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from django.core.files.storage import FileSystemStorage
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from calls.ai.audio import Piece, assemble_tracks
from calls.ingest.store import store
from calls.models import Call, Move, Packet, Recording, StrayFile
from calls.models.recording import Kind
from calls.records import archive as archiving
from calls.records import files, holding, storage
from calls.records.archive import ArchiveRefused, archive, finish_dropping
from calls.records.packets_file import FIELDS, read_lines
from calls.records.recording import recording_of
from calls.records.storage import StorageFailed
from calls.records.stored_audio import stored_audio
from tests.dashboard.outcomes import transcribed_call
from tests.factories import NOW, api_key, arrival, call_in_progress, ended_call, hang_up, send

pytestmark = pytest.mark.django_db


def files_in(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def content(name: str) -> bytes:
    with storage.open_file(name) as file:
        read: bytes = file.read()
        return read


def put_away(call: Call) -> Call:
    return archive(call.call_id, now=NOW, actor="test")


def two_sided_call() -> Call:
    """With audio of both sides, a text that is none, a gap and a late packet."""
    call = call_in_progress(packets=3)
    talk = base64.b64encode(bytes(range(160))).decode()
    store([arrival(call.call_id, n, track="outbound", data=talk) for n in (4, 5)], now=NOW)
    send(call.call_id, 6, data='{"dtmf": "5\u2028"}\n', now=NOW)
    hang_up(call, now=NOW)
    return call


def finished(call: Call) -> Call:
    """With an outcome."""
    Call.objects.filter(pk=call.pk).update(ai_outcome="no_audio", processed_at=NOW)
    return call


def rows(call: Call) -> list[dict[str, Any]]:
    found = Packet.objects.filter(call=call).order_by("sequence").values(*FIELDS)
    return [row | {"received_at": row["received_at"].isoformat()} for row in found]


def heard(call: Call) -> dict[str, bytes]:
    """The WAV of each track as the packets in the table hold it."""
    pieces: dict[str, list[Piece]] = {"inbound": [], "outbound": []}
    for packet in Packet.objects.filter(call=call).order_by("sequence"):
        pieces[packet.track].append(Piece(packet.data, packet.timestamp))
    tracks = assemble_tracks(pieces, encoding=call.encoding, rate=call.sample_rate)
    return {track: audio.wav() for track, audio in tracks.items()}


def test_the_files_hold_byte_for_byte_what_the_packets_held() -> None:
    call = finished(two_sided_call())
    send(call.call_id, 7, now=NOW)
    packets, sound = rows(call), heard(call)
    put_away(call)
    [lines] = Recording.objects.filter(call=call, kind=Kind.PACKETS)
    assert read_lines(content(lines.name)) == packets
    audio = {r.track: content(r.name) for r in Recording.objects.filter(call=call).audio()}
    assert audio == sound


@pytest.mark.parametrize(("first", "last"), [(0, 960), (0, 1), (700, 960), (100, 801), (959, 960)])
def test_any_stretch_of_an_archived_call_can_be_heard(first: int, last: int) -> None:
    call = finished(two_sided_call())
    pieces = {"inbound": heard(call)["inbound"], "outbound": heard(call)["outbound"]}
    audio = stored_audio(put_away(call))
    assert (audio.tracks, audio.rate, audio.length) == (("inbound", "outbound"), 8000, 960)
    for column, track in enumerate(audio.tracks):
        whole = np.zeros(960, np.int16)
        sound = np.frombuffer(pieces[track][44:], "<i2")
        whole[: len(sound)] = sound
        assert audio.samples(first, last)[:, column].tolist() == whole[first:last].tolist()
    audio.close()


def test_a_recording_says_what_its_file_is() -> None:
    call = finished(two_sided_call())
    put_away(call)
    for recording in Recording.objects.filter(call=call):
        kept = content(recording.name)
        assert recording.bytes == len(kept)
        assert recording.sha256 == hashlib.sha256(kept).hexdigest()
    facts = (
        Recording.objects.filter(call=call)
        .audio()
        .values_list("track", "seconds", "sample_rate", "packets")
    )
    assert list(facts) == [("inbound", 0.06, 8000, 4), ("outbound", pytest.approx(0.12), 8000, 2)]


def test_an_archived_call_has_no_packets_and_one_journal_row(kept: Path) -> None:
    call = put_away(transcribed_call())
    assert call.state == "ARCHIVED"
    assert not Packet.objects.filter(call=call).exists()
    last = Move.objects.filter(call=call).last()
    assert last is not None
    assert (last.to_state, last.actor, last.reason) == ("ARCHIVED", "test", "archived by request")
    assert files_in(kept) == set(Recording.objects.values_list("name", flat=True))
    assert not StrayFile.objects.exists()


def test_no_file_is_named_after_its_call(kept: Path) -> None:
    call = put_away(transcribed_call())
    assert not [name for name in files_in(kept) if call.call_id in name]


def test_a_call_without_audio_keeps_its_packets_in_a_file() -> None:
    call = ended_call(packets=1)
    Packet.objects.filter(call=call).update(data="not audio")
    put_away(finished(call))
    assert [r.kind for r in call.recordings.all()] == [Kind.PACKETS]
    assert (stored_audio(call).tracks, stored_audio(call).length) == ((), 0)


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (call_in_progress, "has not ended"),
        (ended_call, "waits for its AI outcome"),
        (lambda: put_away(transcribed_call()), "archived already"),
        (lambda: holding.hold(transcribed_call().call_id, now=NOW), "is held"),
    ],
)
def test_what_may_not_be_archived_says_why_and_writes_nothing(
    kept: Path, make: Any, why: str
) -> None:
    call = make()
    before = files_in(kept)
    with pytest.raises(ArchiveRefused, match=why):
        put_away(call)
    assert files_in(kept) == before


class Breaking(FileSystemStorage):
    """Keeps less than it is given."""

    def _save(self, name: str, content: Any) -> str:
        saved: str = super()._save(name, content)  # type: ignore[misc]
        with open(self.path(saved), "r+b") as file:
            file.truncate(10)
        return saved


def test_a_storage_that_keeps_something_else_loses_nothing(kept: Path, settings: Any) -> None:
    backend = {"BACKEND": f"{__name__}.Breaking", "OPTIONS": {"location": kept}}
    settings.STORAGES = settings.STORAGES | {"recordings": backend}
    call = transcribed_call()
    packets = rows(call)
    with pytest.raises(StorageFailed):
        put_away(call)
    call.refresh_from_db()
    assert (call.state, rows(call)) == ("COMPLETED", packets)
    assert not files_in(kept)
    assert not StrayFile.objects.exists()


def test_a_storage_that_is_away_loses_nothing(kept: Path, settings: Any) -> None:
    options = {"location": kept / "a file" / "deeper"}
    (kept / "a file").touch()
    backend = {"BACKEND": "calls.records.storage.Folder", "OPTIONS": options}
    settings.STORAGES = settings.STORAGES | {"recordings": backend}
    call = transcribed_call()
    with pytest.raises(StorageFailed):
        put_away(call)
    call.refresh_from_db()
    assert (call.state, len(rows(call))) == ("COMPLETED", 3)


def test_packets_that_come_while_the_files_are_written_are_kept_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    call = transcribed_call()
    write = files.write
    written: list[files.Draft] = []

    def write_and_be_overtaken(call: Call, **options: Any) -> files.Draft:
        draft = write(call, **options)
        if not written:
            send(call.call_id, 9, now=NOW)
        written.append(draft)
        return draft

    monkeypatch.setattr(files, "write", write_and_be_overtaken)
    put_away(call)
    lines = call.recordings.get(kind=Kind.PACKETS)
    assert [row["sequence"] for row in read_lines(content(lines.name))] == [0, 1, 2, 9]
    assert not StrayFile.objects.exists()


class Killed(BaseException):
    pass


def test_who_dies_before_the_move_leaves_the_call_and_a_stray_that_is_removed(
    kept: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(*_: Any, **__: Any) -> None:
        raise Killed

    call = transcribed_call()
    with monkeypatch.context() as patch:
        patch.setattr(archiving, "_put_away", die)
        patch.setattr(files, "abandon", lambda *_, **__: None)
        with pytest.raises(Killed):
            put_away(call)
    left = files_in(kept)
    assert len(left) == 2
    assert files.remove_strays(now=NOW) == 0
    put_away(call)
    assert files.remove_strays(now=NOW + timedelta(hours=2)) == 2
    assert files_in(kept) == set(Recording.objects.values_list("name", flat=True))
    assert not files_in(kept) & left


def test_an_error_after_the_commit_takes_no_file_away(
    kept: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    really = archiving._put_away

    def put_away_and_die(*words: Any, **options: Any) -> None:
        really(*words, **options)
        raise Killed

    call = transcribed_call()
    monkeypatch.setattr(archiving, "_put_away", put_away_and_die)
    with pytest.raises(Killed):
        put_away(call)
    assert files_in(kept) == set(call.recordings.values_list("name", flat=True))
    assert len(files_in(kept)) == 2


def test_files_written_too_slowly_are_written_again(monkeypatch: pytest.MonkeyPatch) -> None:
    write = files.write
    written: list[files.Draft] = []

    def write_slowly(call: Call, **options: Any) -> files.Draft:
        draft = write(call, **options)
        if not written:
            files.remove_strays(now=NOW + timedelta(hours=2))
        written.append(draft)
        return draft

    monkeypatch.setattr(files, "write", write_slowly)
    call = put_away(transcribed_call())
    assert stored_audio(call).length == 480


def test_a_long_call_is_dropped_in_parts_that_may_be_interrupted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(archiving, "DROPPED_AT_ONCE", 2)
    call = transcribed_call()
    with monkeypatch.context() as patch:
        patch.setattr(archiving, "drop_packets", lambda _: None)
        put_away(call)
    assert len(rows(call)) == 3
    with CaptureQueriesContext(
        connection,
    ) as queries:
        finish_dropping()
    assert not rows(call)
    assert sum(q["sql"].startswith('DELETE FROM "calls_packet"') for q in queries) == 2
    with CaptureQueriesContext(connection) as queries:
        finish_dropping()
    assert len(queries) == 1


def test_over_http_a_storage_that_is_away_is_told_to_try_again(settings: Any) -> None:
    nowhere = {"BACKEND": "calls.records.storage.Nowhere"}
    settings.STORAGES = settings.STORAGES | {"recordings": nowhere}
    call, key = transcribed_call(), {"Authorization": f"Bearer {api_key()}"}
    answer = Client().post(f"/v1/call/{call.call_id}/archive", headers=key)
    assert (answer.status_code, answer["Retry-After"]) == (503, "2")
    assert "send it again" in answer.json()["detail"]


def test_over_http_a_held_call_is_refused_with_why() -> None:
    call, key = transcribed_call(), {"Authorization": f"Bearer {api_key()}"}
    holding.hold(call.call_id, now=NOW)
    answer = Client().post(f"/v1/call/{call.call_id}/archive", headers=key)
    assert (answer.status_code, "it is held" in answer.json()["detail"]) == (409, True)


def test_a_long_call_never_lies_in_memory_as_a_whole() -> None:
    call = call_in_progress()
    second = base64.b64encode(bytes(8000)).decode()
    for minute in range(20):
        sequences = range(60 * minute, 60 * minute + 60)
        arrivals = [arrival(call.call_id, n, data=second, timestamp=1e9 + n) for n in sequences]
        store(arrivals, now=NOW)
    hang_up(call, now=NOW)
    call = finished(call)
    tracemalloc.start()
    put_away(call)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert call.recordings.audio().get().bytes > 19_000_000
    assert most < 16_000_000


def test_the_recording_of_a_call_is_the_same_once_it_is_archived() -> None:
    call = finished(two_sided_call())
    before = recording_of(call)
    whole = before.read(0, before.size)
    after = recording_of(put_away(call))
    assert (after.size, after.seconds) == (before.size, before.seconds)
    assert after.read(0, after.size) == whole
    assert after.read(45, 1001) == whole[45:1001]
