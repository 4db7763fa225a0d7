"""Filters in the steps that people think in."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from django.contrib import admin
from django.db.models import F, Q, QuerySet
from django.http import HttpRequest
from django.utils import timezone

from calls.models import Call

KNOWN_AMONG = 1000  # calls

Bucket = tuple[str, Q]
WITH_ZERO, WITHOUT_ZERO = Q(has_packet_zero=True), Q(has_packet_zero=False)
COMPLETE = WITH_ZERO & Q(last_sequence=F("packet_count") - 1) | WITHOUT_ZERO & Q(
    last_sequence=F("packet_count")
)
MANY_GAPS = Q(last_sequence__gt=F("packet_count") * 100 / 95)


class Buckets(admin.SimpleListFilter):
    def buckets(self, now: datetime) -> Mapping[str, Bucket]:
        """By the value in the address: what it is called, and which rows it holds."""
        raise NotImplementedError

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        found = self.buckets(timezone.now())
        return [(value, words) for value, (words, _) in found.items()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        value = self.value()
        bucket = self.buckets(timezone.now()).get(value) if value else None
        return queryset.filter(bucket[1]) if bucket else queryset


class LastPacket(Buckets):
    title = "last packet"
    parameter_name = "last_packet"

    def buckets(self, now: datetime) -> Mapping[str, Bucket]:
        def within(**span: int) -> Q:
            return Q(last_packet_at__gte=now - timedelta(**span))

        return {
            "now": ("In the last 5 seconds", within(seconds=5)),
            "minute": ("5 seconds to a minute ago", within(minutes=1) & ~within(seconds=5)),
            "hour": ("A minute to an hour ago", within(hours=1) & ~within(minutes=1)),
            "day": ("An hour to a day ago", within(days=1) & ~within(hours=1)),
            "older": ("More than a day ago", Q(last_packet_at__lt=now - timedelta(days=1))),
            "never": ("Never", Q(last_packet_at=None)),
        }


class Attempts(Buckets):
    title = "attempts of the last run"
    parameter_name = "tried"

    def buckets(self, now: datetime) -> Mapping[str, Bucket]:
        return {
            "none": ("None", Q(attempts=0)),
            "once": ("One or two", Q(attempts__in=[1, 2])),
            "few": ("Three to five", Q(attempts__range=(3, 5))),
            "many": ("More than five", Q(attempts__gt=5)),
        }


class Completeness(Buckets):
    title = "packets"
    parameter_name = "packets"

    def buckets(self, now: datetime) -> Mapping[str, Bucket]:
        some = Q(packet_count__gt=0)
        return {
            "complete": ("Complete", some & COMPLETE),
            "gaps": ("Up to 5 % missing", some & ~COMPLETE & ~MANY_GAPS),
            "many": ("More than 5 % missing", some & ~COMPLETE & MANY_GAPS),
            "none": ("Not one came", Q(packet_count=0)),
        }


class Answer(Buckets):
    title = "answer of the AI service"
    parameter_name = "answer"

    def buckets(self, now: datetime) -> Mapping[str, Bucket]:
        return {
            "fine": ("Fine (200)", Q(status__range=(200, 299))),
            "wait": ("Wait (429)", Q(status=429)),
            "refused": ("Refused (400 and up)", Q(status__range=(400, 499)) & ~Q(status=429)),
            "broken": ("Broken (500 and up)", Q(status__gte=500)),
            "none": ("None", Q(status=None)),
        }


class AlertStanding(Buckets):
    title = "standing"
    parameter_name = "standing"

    def buckets(self, now: datetime) -> Mapping[str, Bucket]:
        return {
            "open": ("Open", Q(acknowledged_at=None, resolved_at=None)),
            "acknowledged": ("Acknowledged", Q(acknowledged_at__isnull=False)),
            "over": ("Over by itself", Q(acknowledged_at=None, resolved_at__isnull=False)),
        }


class KeyStanding(Buckets):
    title = "standing"
    parameter_name = "standing"

    def buckets(self, now: datetime) -> Mapping[str, Bucket]:
        expired = Q(revoked_at=None, expires_at__lte=now)
        return {
            "good": ("Good", Q(revoked_at=None) & ~Q(expires_at__lte=now)),
            "expired": ("Expired", expired),
            "revoked": ("Revoked", Q(revoked_at__isnull=False)),
        }


class Queue(admin.SimpleListFilter):
    """Those of the newest calls; to find all there ever were would read the whole table."""

    title = "queue"
    parameter_name = "queue"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        newest = Call.objects.newest_first().values("pk")[:KNOWN_AMONG]
        named = Call.objects.filter(pk__in=newest).exclude(queue="").order_by("queue")
        return [(name, name) for name in named.values_list("queue", flat=True).distinct()]

    def has_output(self) -> bool:
        return True

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(queue=self.value()) if self.value() else queryset
