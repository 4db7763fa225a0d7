"""The first accounts are made once, and never twice."""

import json
import stat
from pathlib import Path

import pytest
from django.contrib.auth import authenticate
from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.models import Group, User
from django.test import RequestFactory
from django.utils import timezone

from callcenter import first_run
from callcenter.environment import BadSetting
from calls.api.auth import find_key
from calls.models import ApiKey

pytestmark = pytest.mark.django_db

NOW = timezone.now()


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    return tmp_path / "first-run.json"


def who(account: dict[str, str]) -> AbstractBaseUser | None:
    """Whose name and password these are."""
    return authenticate(RequestFactory().post("/login/"), **account)


def test_the_file_holds_what_opens_the_doors(kept: Path) -> None:
    assert first_run.ensure(kept, now=NOW) == ""
    made = json.loads(kept.read_text())
    admin, supervisor = who(made["admin"]), who(made["supervisor"])
    key = find_key(made["api_key"], now=NOW)
    assert isinstance(admin, User)
    assert admin.is_superuser
    assert isinstance(supervisor, User)
    assert not supervisor.is_staff
    assert list(supervisor.groups.all()) == [Group.objects.get(name=first_run.SUPERVISORS)]
    assert key
    assert (key.scopes, key.rate) == (["ingest", "manage", "read"], None)
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600


def test_the_folder_is_made_where_nothing_was_kept_before(tmp_path: Path) -> None:
    kept = tmp_path / "not" / "yet" / "first-run.json"
    assert first_run.ensure(kept, now=NOW) == ""
    assert who(json.loads(kept.read_text())["admin"])
    assert stat.S_IMODE(kept.parent.stat().st_mode) == 0o700


def test_accounts_that_could_not_be_told_are_not_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(BadSetting, match=r"^DATA_DIR: .* at "):
        first_run.ensure(tmp_path / "file" / "first-run.json", now=NOW)
    assert not User.objects.exists()


def test_the_supervisor_sees_the_calls_and_their_alerts_and_no_more(kept: Path) -> None:
    first_run.ensure(kept, now=NOW)
    supervisor = User.objects.get(username="supervisor")
    assert supervisor.get_all_permissions() == {"calls.view_call", "calls.acknowledge_alert"}


def test_every_install_gets_its_own(kept: Path) -> None:
    first_run.ensure(kept, now=NOW)
    before = kept.read_text()
    kept.unlink()
    User.objects.all().delete()
    first_run.ensure(kept, now=NOW)
    values = [json.loads(text)["admin"]["password"] for text in (before, kept.read_text())]
    assert values[0] != values[1]


def test_a_second_start_changes_nothing(kept: Path) -> None:
    first_run.ensure(kept, now=NOW)
    before = kept.read_text(), kept.stat().st_mtime_ns
    assert first_run.ensure(kept, now=NOW) == ""
    assert (kept.read_text(), kept.stat().st_mtime_ns) == before
    assert (User.objects.count(), ApiKey.objects.count()) == (2, 1)


def test_a_lost_file_is_told_and_not_made_up(kept: Path) -> None:
    first_run.ensure(kept, now=NOW)
    kept.unlink()
    assert "changepassword admin" in first_run.ensure(kept, now=NOW)
    assert not kept.exists()
    assert (User.objects.count(), ApiKey.objects.count()) == (2, 1)


def test_a_start_that_ended_right_after_its_commit_is_finished_by_the_next(kept: Path) -> None:
    first_run.ensure(kept, now=NOW)
    kept.rename(kept.with_name(".first-run.json.new"))
    assert first_run.ensure(kept, now=NOW) == ""
    assert who(json.loads(kept.read_text())["admin"])
