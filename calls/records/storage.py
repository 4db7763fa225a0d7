"""Files in and out of Django's file storage; nothing counts as kept before it was read back."""

import hashlib
import os
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, TypeVar

from django.core.files import File
from django.core.files.storage import FileSystemStorage, Storage, storages

CHUNK = 256 * 1024  # bytes

R = TypeVar("R")


class StorageFailed(Exception):
    """The storage is away, or gave back something else than it was given."""


@dataclass(frozen=True, slots=True)
class Stored:
    bytes: int
    sha256: str


class Folder(FileSystemStorage):
    """A local folder whose files outlive a power cut once `save` has returned.

    Packets are dropped as soon as their file is there, so it may not lie in a cache alone.
    """

    def _save(self, name: str, content: "File[bytes]") -> str:
        name = super()._save(name, content)  # type: ignore[misc]
        path = Path(self.path(name))
        for place in (path, path.parent, path.parent.parent):
            _sync(place)
        return name


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def fresh_name(suffix: str) -> str:
    """Says nothing of the call: its id comes from outside."""
    token = secrets.token_hex(16)
    return f"{token[:2]}/{token}{suffix}"


def put(name: str, content: BinaryIO) -> Stored:
    """Writes a file under exactly this name and reads it back. Raises `StorageFailed`."""
    given = measure_file(content)
    content.seek(0)
    saved = _ask(lambda: _storage().save(name, File(content)))
    kept = measure(saved)
    if saved != name or kept != given:
        remove(saved)
        raise StorageFailed(f"the storage kept {kept.bytes} bytes of {given.bytes} as {saved}")
    return kept


def measure(name: str) -> Stored:
    """Size and checksum of a file as the storage gives it back. Raises `StorageFailed`."""
    return _ask(lambda: _measure(name))


def open_file(name: str) -> "File[bytes]":
    """To be closed by the caller. Raises `StorageFailed`."""
    return _ask(lambda: _storage().open(name))


def read_at(file: "File[bytes]", place: int, size: int) -> bytes:
    """Exactly so many bytes of an open file. Raises `StorageFailed`."""

    def read() -> bytes:
        file.seek(place)
        content: bytes = file.read(size)
        if len(content) != size:
            raise EOFError(f"{file.name} ends early")
        return content

    return _ask(read)


def remove(name: str) -> None:
    """Nothing happens where there is no such file. Raises `StorageFailed`."""
    _ask(lambda: _storage().delete(name))


def _measure(name: str) -> Stored:
    with _storage().open(name) as file:
        return measure_file(file)


def measure_file(content: BinaryIO | File[bytes]) -> Stored:
    digest, size = hashlib.sha256(), 0
    content.seek(0)
    while chunk := content.read(CHUNK):
        digest.update(chunk)
        size += len(chunk)
    return Stored(size, digest.hexdigest())


def _storage() -> Storage:
    return storages["recordings"]


def _ask(ask: Callable[[], R]) -> R:
    try:
        return ask()
    # Each backend has errors of its own, and here they mean the same.
    except Exception as error:
        raise StorageFailed(f"the recordings' storage failed: {error}") from error
