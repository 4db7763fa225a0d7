"""Recordings in an S3-compatible bucket; loaded only where `STORAGE_URL` names one."""

from typing import Any

from botocore.config import Config
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


class Bucket(S3Storage):  # type: ignore[misc]
    def get_default_settings(self) -> dict[str, Any]:
        private = {"file_overwrite": False, "default_acl": None, "querystring_auth": True}
        settings: dict[str, Any] = super().get_default_settings()
        return settings | private | {"client_config": PATIENCE}
