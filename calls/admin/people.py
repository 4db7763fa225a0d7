"""Django's own pages of users and groups, as bounded as ours."""

from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin, UserAdmin
from django.contrib.auth.models import Group, User

from calls.admin.guarded import Readable

admin.site.unregister([User, Group])


@admin.register(User)
class Users(Readable, UserAdmin):  # type: ignore[type-arg]
    pass


@admin.register(Group)
class Groups(Readable, GroupAdmin):
    pass
