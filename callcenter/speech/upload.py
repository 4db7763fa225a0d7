"""A multipart request: its file on disk, its fields in memory, both within bounds."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from multipart import (
    MultipartError,
    MultipartSegment,
    PushMultipartParser,
    parse_options_header,
)

from callcenter.speech.body import Body
from callcenter.speech.refusal import Refusal

MAX_FIELD = 4_096  # bytes; a `prompt` may be a paragraph
MAX_PARTS = 32
LANGUAGES = {"", "en", "english", "en-us"}
FORMATS = ("json", "text", "verbose_json")


@dataclass(slots=True)
class Upload:
    path: Path
    fields: dict[str, list[str]] = field(default_factory=dict)
    has_file: bool = False

    def first(self, name: str, default: str = "") -> str:
        return self.fields.get(name, [default])[0]

    @property
    def format(self) -> str:
        return self.first("response_format", "json")

    @property
    def wants_words(self) -> bool:
        return "word" in self.fields.get("timestamp_granularities[]", ())

    def check(self) -> None:
        """Raises `Refusal` for what we could not answer as asked."""
        if not self.has_file:
            raise Refusal(400, "The audio is missing: send it as the part `file`.", "file")
        if self.format not in FORMATS:
            words = f"We answer in {', '.join(FORMATS)}, not in {self.format[:40]!r}."
            raise Refusal(400, words, "response_format")
        if self.first("language").lower() not in LANGUAGES:
            raise Refusal(400, "We understand English (`en`) only.", "language")


@contextmanager
def upload_file() -> Iterator[Path]:
    """A path for one file, which is gone afterwards."""
    with tempfile.NamedTemporaryFile(prefix="speech-", suffix=".wav") as file:
        yield Path(file.name)


async def read_upload(body: Body, content_type: str, path: Path, limit: int) -> Upload:
    """Write the file of the request, `limit` bytes at most, to `path`.

    Raises `Refusal`, `Disconnected`.
    """
    with path.open("wb") as file:
        sorter = _Sorter(Upload(path), file, limit)
        try:
            parser = _parser(content_type)
            while not body.ended:
                piece = await body.piece()
                for found in parser.parse(piece) if piece else ():
                    sorter.take(found)
            parser.close()
        except MultipartError as error:
            words = f"The request is not proper multipart/form-data: {error}."
            raise Refusal(400, words) from None
    return sorter.upload


def _parser(content_type: str) -> Any:
    kind, options = parse_options_header(content_type)
    if kind.lower() != "multipart/form-data" or not options.get("boundary"):
        raise Refusal(415, "Send multipart/form-data with the audio as the part `file`.")
    return PushMultipartParser(options["boundary"], max_segment_count=MAX_PARTS)


class _Sorter:
    """Puts what the parser finds where it belongs."""

    def __init__(self, upload: Upload, file: IO[bytes], limit: int) -> None:
        self.upload = upload
        self._file, self._limit = file, limit
        self._name = ""
        self._field = bytearray()
        self._written = 0

    def take(self, found: Any) -> None:
        """The beginning of a part, or bytes of it, or None at its end."""
        if isinstance(found, MultipartSegment):
            self._begin(found.name or "")
        elif found is None:
            self._end()
        elif self._name == "file":
            self._write(found)
        else:
            self._extend(found)

    def _begin(self, name: str) -> None:
        self._name = name
        if name == "file" and self.upload.has_file:
            raise Refusal(400, "Send one file a request.", "file")

    def _write(self, found: bytes) -> None:
        self._written += len(found)
        if self._written > self._limit:
            raise Refusal(413, f"The file is larger than {self._limit // 2**20} MiB.", "file")
        self._file.write(found)

    def _extend(self, found: bytes) -> None:
        self._field += found
        if len(self._field) > MAX_FIELD:
            raise Refusal(400, f"The field is longer than {MAX_FIELD} bytes.", self._name[:40])

    def _end(self) -> None:
        if self._name == "file":
            self.upload.has_file = True
        else:
            text = self._field.decode(errors="replace")
            self.upload.fields.setdefault(self._name, []).append(text)
            self._field.clear()
