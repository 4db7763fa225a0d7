"""An archive in a bucket: the real client before a small service that speaks S3."""

from collections.abc import Iterator
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest

from callcenter.environment import bucket
from calls.records import storage
from calls.records.archive import archive
from calls.records.storage import StorageFailed
from calls.records.stored_audio import stored_audio
from tests.dashboard.outcomes import transcribed_call
from tests.factories import NOW

pytestmark = pytest.mark.django_db

OBJECTS: dict[str, bytes] = {}
READ: list[str] = []
"""The ranges that were asked for."""


class Service(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def _answer(self, status: int, body: bytes = b"", *, length: int | None = None) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        self.send_header("Last-Modified", "Tue, 03 Feb 2026 12:00:00 GMT")
        self.send_header("ETag", '"etag"')
        self.end_headers()
        self.wfile.write(body)

    @property
    def _key(self) -> str:
        return self.path.partition("?")[0]

    def do_PUT(self) -> None:
        OBJECTS[self._key] = self.rfile.read(int(self.headers["Content-Length"]))
        self._answer(HTTPStatus.OK)

    def do_GET(self) -> None:
        found = OBJECTS.get(self._key)
        asked = self.headers["Range"]
        READ.append(asked)
        if found is None:
            self._answer(HTTPStatus.NOT_FOUND)
        elif asked:
            self._answer(HTTPStatus.PARTIAL_CONTENT, found[int(asked[len("bytes=") : -1]) :])
        else:
            self._answer(HTTPStatus.OK, found)

    def do_HEAD(self) -> None:
        found = OBJECTS.get(self._key)
        status = HTTPStatus.OK if found is not None else HTTPStatus.NOT_FOUND
        self._answer(status, length=len(found or b""))

    def do_DELETE(self) -> None:
        OBJECTS.pop(self._key, None)
        self._answer(HTTPStatus.NO_CONTENT)

    def log_message(self, *_: Any) -> None:
        """Nobody listens."""


@pytest.fixture
def service(settings: Any) -> Iterator[ThreadingHTTPServer]:
    OBJECTS.clear()
    READ.clear()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Service)
    server.daemon_threads = True
    Thread(target=server.serve_forever, daemon=True).start()
    options = bucket(f"s3://key:secret@127.0.0.1:{server.server_port}/calls/kept?tls=off")
    backend = {"BACKEND": "calls.records.bucket.Bucket", "OPTIONS": options}
    settings.STORAGES = settings.STORAGES | {"recordings": backend}
    yield server
    server.shutdown()
    server.server_close()


@pytest.mark.usefixtures("service")
def test_an_archived_call_is_heard_from_the_bucket() -> None:
    call = archive(transcribed_call().call_id, now=NOW, actor="test")
    names = [f"/calls/kept/{name}" for name in call.recordings.values_list("name", flat=True)]
    assert sorted(OBJECTS) == sorted(names)
    assert stored_audio(call).samples(0, 480).tolist() == [[0]] * 480


@pytest.mark.usefixtures("service")
def test_a_recording_in_the_bucket_is_fetched_from_where_it_is_heard() -> None:
    call = archive(transcribed_call().call_id, now=NOW, actor="test")
    READ.clear()
    sound = stored_audio(call)
    whole = [*sound.samples(100, 200).tolist(), *sound.samples(200, 300).tolist()]
    assert whole == [[0]] * 200
    assert READ == ["bytes=244-"]
    assert len(sound.samples(400, 480)) == 80
    assert storage.measure(call.recordings.audio()[0].name).sha256 == sound.recordings[0].sha256


def test_a_bucket_that_gives_the_whole_for_a_part_is_no_storage(
    service: ThreadingHTTPServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def whole(handler: Service) -> None:
        handler._answer(HTTPStatus.OK, OBJECTS[handler._key])

    call = archive(transcribed_call().call_id, now=NOW, actor="test")
    monkeypatch.setattr(Service, "do_GET", whole)
    with pytest.raises(StorageFailed, match="no ranges"):
        stored_audio(call).samples(100, 200)


@pytest.mark.usefixtures("service")
def test_a_file_is_removed_from_the_bucket_and_may_be_gone_already() -> None:
    call = archive(transcribed_call().call_id, now=NOW, actor="test")
    for recording in [*call.recordings.all()] * 2:
        storage.remove(recording.name)
    assert not OBJECTS
    with pytest.raises(StorageFailed):
        stored_audio(call).samples(0, 1)


def test_a_service_that_loses_a_file_gets_no_call(
    service: ThreadingHTTPServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forget(handler: Service) -> None:
        handler.rfile.read(int(handler.headers["Content-Length"]))
        handler._answer(HTTPStatus.OK)

    monkeypatch.setattr(Service, "do_PUT", forget)
    call = transcribed_call()
    with pytest.raises(StorageFailed):
        archive(call.call_id, now=NOW, actor="test")
    call.refresh_from_db()
    assert call.state == "COMPLETED"
