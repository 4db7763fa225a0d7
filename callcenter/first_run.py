"""The accounts and the API key of the first start, random per install, kept in one file."""

import json
import os
import secrets
from datetime import datetime
from pathlib import Path

from django.contrib.auth.models import Group, Permission, User
from django.db import transaction

from callcenter.environment import BadSetting
from calls.api.auth import create_key
from calls.models.access import Scope

SUPERVISORS = "Supervisors"
LOST = (
    "There are accounts already, but no {path}. Set new passwords with `manage.py changepassword "
    "admin` and make a key with `manage.py create_api_key`."
)


def ensure(kept: Path, *, now: datetime) -> str:
    """Create everything once, to be read in `kept`; what the operator should know, or nothing.

    Raises `BadSetting` where it cannot be kept.
    """
    draft = kept.with_name(".first-run.json.new")
    if kept.exists():
        return ""
    if not User.objects.exists():
        _create(draft, now=now)
    # A draft beside accounts: the last run ended between its commit and this line.
    if not draft.exists():
        return LOST.format(path=kept)
    draft.rename(kept)
    return ""


def _create(draft: Path, *, now: datetime) -> None:
    admin = {"username": "admin", "password": secrets.token_urlsafe(12)}
    supervisor = {"username": "supervisor", "password": secrets.token_urlsafe(12)}
    with transaction.atomic():
        User.objects.create_superuser(**admin)
        User.objects.create_user(**supervisor).groups.add(_supervisors())
        _, key = create_key(name="first run", scopes=Scope.values, now=now, actor="first run")
        _write(draft, {"admin": admin, "supervisor": supervisor, "api_key": key})


def _supervisors() -> Group:
    """Those who watch: they see the calls and their alerts; more only where somebody allows it."""
    group, _ = Group.objects.get_or_create(name=SUPERVISORS)
    known = Permission.objects.filter(content_type__app_label="calls")
    group.permissions.add(*known.filter(codename__in=["view_call", "acknowledge_alert"]))
    return group


def _write(draft: Path, secrets_: dict[str, object]) -> None:
    try:
        draft.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _keep(draft, secrets_)
    except OSError as error:
        why = f"{error.strerror} at {draft}; use a directory that this user may write"
        raise BadSetting("DATA_DIR", why) from None


def _keep(draft: Path, secrets_: dict[str, object]) -> None:
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        json.dump(secrets_, file, indent=2)
        file.write("\n")
        file.flush()
        os.fsync(file.fileno())
