"""Whether the login behind an open socket still holds."""

from importlib import import_module

from django.conf import settings
from django.contrib import auth
from django.contrib.auth.models import AnonymousUser, User
from django.http import HttpRequest

engine = import_module(settings.SESSION_ENGINE)


def current_user(session_key: str | None) -> User | AnonymousUser:
    """The user as the database knows him now; anonymous once logged out, disabled or changed."""
    request = HttpRequest()
    request.session = engine.SessionStore(session_key)
    return auth.get_user(request)
