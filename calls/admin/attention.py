"""Alerts as they are, and the phrases that staff listen for: added and deleted, never changed."""

from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone

from calls.admin.filters import AlertStanding
from calls.admin.guarded import Guarded
from calls.admin.readonly import OfCalls
from calls.models import Alert, Phrase
from calls.records import phrases
from calls.records.phrases import PhraseRefused


@admin.register(Alert)
class AlertAdmin(OfCalls):
    list_display = [
        "raised_at",
        "kind",
        "call_link",
        "words",
        "acknowledged_by",
        "acknowledged_at",
        "resolved_at",
    ]
    list_filter = ["kind", AlertStanding]
    search_fields = ["call__call_id", "words"]
    ordering = ["-pk"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Alert]:
        alerts: QuerySet[Alert] = super().get_queryset(request)
        return alerts.select_related("call")


class PhraseForm(forms.ModelForm[Phrase]):
    class Meta:
        model = Phrase
        fields = ("text",)

    def clean_text(self) -> str:
        text: str = self.cleaned_data["text"]
        try:
            phrases.check(text)
        except PhraseRefused as refusal:
            raise ValidationError(str(refusal)) from None
        return text


@admin.register(Phrase)
class PhraseAdmin(Guarded):
    form = PhraseForm
    list_display = ["text", "added_at", "added_by"]
    search_fields = ["text"]
    ordering = ["text"]

    def get_fields(self, request: HttpRequest, obj: Phrase | None = None) -> tuple[str, ...]:
        return ("text", "added_at", "added_by") if obj else ("text",)

    def has_change_permission(self, request: HttpRequest, obj: Phrase | None = None) -> bool:
        return False

    def save_model(self, request: HttpRequest, obj: Phrase, form: Any, change: bool) -> None:
        said = form.cleaned_data["text"]
        obj.pk = phrases.add(said, now=timezone.now(), actor=f"user {request.user}").pk
