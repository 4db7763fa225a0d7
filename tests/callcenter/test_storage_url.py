"""`STORAGE_URL`: what can be read, and what is said of what cannot."""

import pytest

from callcenter.environment import BadSetting, bucket, read


def test_an_address_names_service_key_bucket_folder_and_region() -> None:
    address = "s3://key%2F1:se%40cret@minio.local:9000/calls-2026/by/day?region=eu-west-1&tls=off"
    assert bucket(address) == {
        "endpoint_url": "http://minio.local:9000",
        "access_key": "key/1",
        "secret_key": "se@cret",
        "bucket_name": "calls-2026",
        "location": "by/day",
        "region_name": "eu-west-1",
    }


def test_without_one_there_is_no_bucket() -> None:
    assert bucket("") == {}


@pytest.mark.parametrize(
    ("address", "why"),
    [
        ("/var/recordings", "expected s3://"),
        ("http://k:hidden@host/bucket", "expected s3://"),
        ("s3://k:hidden@host:port/bucket", "expected s3://"),
        ("s3://k:hidden@/bucket", "expected s3://"),
        ("s3://host/bucket", "secret"),
        ("s3://k@host/bucket", "secret"),
        ("s3://k:hidden@host", "bucket's name"),
        ("s3://k:hidden@host/Bucket", "bucket's name"),
        ("s3://k:hidden@host/bucket?acl=public-read", "acl is no option"),
        ("s3://k:hidden@host/bucket?tls=perhaps", "tls: expected on or off"),
        ("s3://k:hidden@host/bucket?region", "expected s3://"),
    ],
)
def test_what_cannot_be_read_is_told_in_one_line_without_the_secret(
    monkeypatch: pytest.MonkeyPatch, address: str, why: str
) -> None:
    monkeypatch.setenv("STORAGE_URL", address)
    with pytest.raises(BadSetting) as told:
        read("STORAGE_URL", "", bucket)
    words = str(told.value)
    assert words.startswith("STORAGE_URL: ")
    assert why in words
    assert "hidden" not in words
    assert "\n" not in words
