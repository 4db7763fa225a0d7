"""Who looks at the pages."""

from django.contrib.auth.models import Permission, User
from django.test import Client

from tests.factories import fresh_id


def user_with(*permissions: str, password: str | None = None) -> User:
    user = User.objects.create_user(username=fresh_id(), password=password)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    return user


def signed_in(*permissions: str) -> Client:
    """The browser of somebody with these permissions."""
    client = Client()
    client.force_login(user_with(*permissions))
    return client
