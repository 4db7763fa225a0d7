"""API keys: made and revoked, never changed. The secret is shown once."""

from datetime import datetime
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import URLPattern, path
from django.utils import timezone
from django.utils.html import format_html
from django.views.decorators.http import require_POST

from calls.admin.filters import KeyStanding
from calls.admin.guarded import Guarded, refusals_recorded
from calls.api.auth import create_key, revoke_key
from calls.models import ApiKey
from calls.models.access import Scope

SHOWN_ONCE = "The key is <code>{}</code>. It is shown this once and kept nowhere: copy it now."
SHOWN = (
    *("name", "prefix", "allowed", "rate"),
    *("created_at", "expires_at", "last_used_at", "revoked_at"),
)
ASKED = ("name", "scopes", "rate", "expires_at")


class NewKeyForm(forms.ModelForm[ApiKey]):
    scopes = forms.MultipleChoiceField(choices=Scope.choices, widget=forms.CheckboxSelectMultiple)

    class Meta:
        model = ApiKey
        fields = ASKED
        help_texts = {"expires_at": "In UTC; empty: until it is revoked."}

    def clean_expires_at(self) -> datetime | None:
        expires_at: datetime | None = self.cleaned_data["expires_at"]
        if expires_at and expires_at <= timezone.now():
            raise forms.ValidationError("This is over: the key would never be good.")
        return expires_at


@admin.register(ApiKey)
class ApiKeyAdmin(Guarded):
    form = NewKeyForm
    list_display = SHOWN
    list_filter = [KeyStanding]
    search_fields = ["name", "prefix"]
    ordering = ["-pk"]
    actions = ["revoke_selected"]

    @admin.display(description="scopes")
    def allowed(self, key: ApiKey) -> str:
        return ", ".join(key.scopes)

    def get_fields(self, request: HttpRequest, obj: ApiKey | None = None) -> tuple[str, ...]:
        return SHOWN if obj else ASKED

    def get_readonly_fields(
        self, request: HttpRequest, obj: ApiKey | None = None
    ) -> tuple[str, ...]:
        return SHOWN if obj else ()

    def has_change_permission(self, request: HttpRequest, obj: ApiKey | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: ApiKey | None = None) -> bool:
        return False

    def has_view_permission(self, request: HttpRequest, obj: ApiKey | None = None) -> bool:
        return super().has_view_permission(request, obj) or self.has_revoke_permission(request)

    def has_revoke_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("calls.change_apikey")

    def save_model(self, request: HttpRequest, obj: ApiKey, form: Any, change: bool) -> None:
        said = form.cleaned_data
        key, secret = create_key(
            name=said["name"],
            scopes=said["scopes"],
            rate=said["rate"],
            expires_at=said["expires_at"],
            now=timezone.now(),
            actor=f"user {request.user}",
        )
        obj.pk, obj.prefix = key.pk, key.prefix
        messages.warning(request, format_html(SHOWN_ONCE, secret))

    @admin.action(description="Revoke the selected keys", permissions=["revoke"])
    def revoke_selected(self, request: HttpRequest, keys: QuerySet[ApiKey]) -> None:
        for key in keys:
            self._revoke(request, key)

    def get_urls(self) -> list[URLPattern]:
        revoke = self.admin_site.admin_view(require_POST(self.revoke))
        return [path("<int:pk>/revoke/", revoke, name="revoke_key"), *super().get_urls()]

    def revoke(self, request: HttpRequest, pk: int) -> HttpResponse:
        with refusals_recorded(request):
            if not self.has_revoke_permission(request):
                raise PermissionDenied
        self._revoke(request, get_object_or_404(ApiKey, pk=pk))
        return redirect("admin:calls_apikey_changelist")

    def _revoke(self, request: HttpRequest, key: ApiKey) -> None:
        """A key that was revoked before keeps its time."""
        if key.revoked_at is None:
            revoke_key(key, now=timezone.now(), actor=f"user {request.user}")
            self.log_change(request, key, "Revoked.")
        messages.success(
            request, f"The key {key} is revoked: nothing is accepted from it any more."
        )
