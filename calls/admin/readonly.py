"""Pages that show and change nothing."""

from typing import Any

from django.contrib import admin
from django.contrib.admin.options import BaseModelAdmin
from django.db.models import Model
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.http import urlencode
from django.utils.safestring import SafeString

from calls.admin.guarded import Guarded
from calls.admin.pages import BoundedPaginator


class ReadOnly(BaseModelAdmin[Any]):
    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class ReadOnlyPages(ReadOnly, Guarded):
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER  # each would count the whole table
    list_per_page = 50
    paginator = BoundedPaginator
    actions: Any = None


class ReadOnlyRows(ReadOnly, admin.TabularInline[Any, Any]):
    extra = 0
    show_change_link = True


class OfCalls(ReadOnlyPages):
    """Of what belongs to a call, or may do so."""

    @admin.display(description="call", ordering="call")
    def call_link(self, row: Any) -> str:
        return link(row.call, row.call.call_id) if row.call else ""


def link(to: Model, words: str) -> SafeString:
    """A link to the page of a row."""
    meta = to._meta
    address = reverse(f"admin:{meta.app_label}_{meta.model_name}_change", args=[to.pk])
    return format_html('<a href="{}">{}</a>', address, words)


def link_to_list(model: type[Model], words: str, **query: int) -> SafeString:
    """A link to the rows that fit."""
    meta = model._meta
    address = reverse(f"admin:{meta.app_label}_{meta.model_name}_changelist")
    return format_html('<a href="{}?{}">{}</a>', address, urlencode(query), words)
