"""Recordings in an S3-compatible bucket; loaded only where `STORAGE_URL` names one."""

import io
from http import HTTPStatus
from typing import Any

from botocore.config import Config
from django.core.files import File
from storages.backends.s3 import S3Storage

PATIENCE = Config(
    connect_timeout=5,
    read_timeout=30,
    retries={"max_attempts": 3, "mode": "standard"},
    # Services that only speak like S3 often refuse checksums that nobody asked for; we read back.
    request_checksum_calculation="when_required",
    response_checksum_validation="when_required",
    s3={"addressing_style": "path"},
    signature_version="s3v4",
)


STRETCH = 256 * 1024  # bytes asked of the connection at once


class ObjectReader(io.RawIOBase):
    """An object from any place on: what is not read is hardly fetched, and none of it is kept.

    The file of `S3Storage` fetches an object as a whole, hours of audio for a second of it.
    """

    def __init__(self, found: Any) -> None:
        self._object, self._size = found, found.content_length
        self._place = 0
        self._body: Any = None

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._place, io.SEEK_END: self._size}[whence]
        if start + offset != self._place:
            self._hang_up()
            self._place = start + offset
        return self._place

    def readinto(self, buffer: Any) -> int:
        if self._place >= self._size:
            return 0
        self._body = self._body or self._ask()
        content: bytes = self._body.read(len(buffer))
        buffer[: len(content)] = content
        self._place += len(content)
        return len(content)

    def close(self) -> None:
        self._hang_up()
        super().close()

    def _ask(self) -> Any:
        answer = self._object.get(Range=f"bytes={self._place}-")
        if answer["ResponseMetadata"]["HTTPStatusCode"] != HTTPStatus.PARTIAL_CONTENT:
            raise OSError("the bucket knows no ranges")
        return answer["Body"]

    def _hang_up(self) -> None:
        if self._body is not None:
            self._body.close()
            self._body = None


class Bucket(S3Storage):  # type: ignore[misc]
    def _open(self, name: str, mode: str = "rb") -> "File[bytes]":
        found = super()._open(name, mode).obj
        return File(io.BufferedReader(ObjectReader(found), STRETCH), name)

    def get_default_settings(self) -> dict[str, Any]:
        private = {"file_overwrite": False, "default_acl": None, "querystring_auth": True}
        settings: dict[str, Any] = super().get_default_settings()
        return settings | private | {"client_config": PATIENCE}
