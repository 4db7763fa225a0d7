"""Secrets come from a variable or from the file that its `_FILE` names, and are never shown."""

from pathlib import Path

import pytest

from callcenter.environment import BadSetting, address, bucket, secret

URL = "postgresql://callcenter:s3cret@db/callcenter"
postgresql = address("postgresql")


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What DATABASE_URL_FILE names; DATABASE_URL itself is unset."""
    path = tmp_path / "database_url"
    monkeypatch.delenv("DATABASE_URL", raising=False)
    monkeypatch.setenv("DATABASE_URL_FILE", str(path))
    return path


def test_a_secret_is_read_from_its_file(file: Path) -> None:
    file.write_text(f"{URL}\n")
    assert secret("DATABASE_URL", postgresql) == URL


def test_both_ways_at_once_are_refused(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file.write_text(URL)
    monkeypatch.setenv("DATABASE_URL", URL)
    with pytest.raises(BadSetting, match="both DATABASE_URL and DATABASE_URL_FILE are given"):
        secret("DATABASE_URL", postgresql)


def test_a_file_that_is_not_there_is_named(file: Path) -> None:
    with pytest.raises(BadSetting, match=f"DATABASE_URL_FILE: No such file or directory at {file}"):
        secret("DATABASE_URL", postgresql)


def test_an_empty_file_is_a_mistake_unless_the_secret_need_not_be_given(file: Path) -> None:
    file.write_text("\n")
    with pytest.raises(BadSetting, match="is empty"):
        secret("DATABASE_URL", postgresql)
    assert secret("DATABASE_URL", postgresql, empty_file=True) == ""


@pytest.mark.parametrize("content", [b"one\ntwo", b"\xff\xfe", b"x" * 9000, b"a\0b"])
def test_what_is_no_line_of_text_is_refused(file: Path, content: bytes) -> None:
    file.write_bytes(content)
    with pytest.raises(BadSetting, match="DATABASE_URL_FILE"):
        secret("DATABASE_URL", str)


@pytest.mark.parametrize(
    "url", ["mysql://callcenter:s3cret@db/x", "postgresql://callcenter:s3/cret@db/x", "s3cret"]
)
def test_a_secret_that_cannot_be_read_is_not_shown(
    monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    monkeypatch.setenv("DATABASE_URL", url)
    with pytest.raises(BadSetting) as refused:
        secret("DATABASE_URL", postgresql)
    assert str(refused.value).startswith("DATABASE_URL: ")
    assert "s3" not in str(refused.value)


def test_the_file_is_named_when_what_it_holds_cannot_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "storage_url"
    path.write_text("https://somewhere")
    monkeypatch.setenv("STORAGE_URL_FILE", str(path))
    with pytest.raises(BadSetting, match="STORAGE_URL_FILE: expected s3://"):
        secret("STORAGE_URL", bucket)
