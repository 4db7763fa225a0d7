"""The read model of alerts: the strip above the board, and the page of all of them."""

from dataclasses import asdict, dataclass, replace
from typing import Any, Self

from django import forms
from django.http import QueryDict
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.http import urlencode
from django.utils.safestring import SafeString

from calls.models import Alert
from calls.models.alert import AlertKind, AlertQuerySet
from dashboard.shared import Shared

SHOWN = 5  # alerts in the strip
COUNTED = 999  # open ones, at most
PAGE = 50  # rows
MAX_PAGE = 1000
OPEN, ACKNOWLEDGED, OVER = "open", "acknowledged", "over"
STANDINGS = [("", "Any"), (OPEN, "Open"), (ACKNOWLEDGED, "Acknowledged"), (OVER, "Over by itself")]

strips = Shared(size=2)


@dataclass(frozen=True, slots=True)
class Row:
    """An alert and the address of its place: the call, or a second of its recording."""

    alert: Alert
    place: str

    @classmethod
    def of(cls, alert: Alert) -> Self:
        if alert.call is None:
            return cls(alert, "")
        page = reverse("call", args=[alert.call.call_id])
        return cls(alert, page if alert.start is None else f"{page}#t={alert.start:g}")

    @property
    def is_open(self) -> bool:
        return self.alert.over_at is None


class AlertFilterForm(forms.Form):
    kind = forms.ChoiceField(
        choices=[("", "Any"), *AlertKind.choices], label="Kind", required=False
    )
    standing = forms.ChoiceField(choices=STANDINGS, label="Standing", required=False)


@dataclass(frozen=True, slots=True)
class AlertFilters:
    """Empty fields ask for nothing; what cannot be read counts as empty."""

    kind: str = ""
    standing: str = ""
    page: int = 1

    @classmethod
    def read(cls, query: QueryDict) -> Self:
        form = AlertFilterForm(query)
        form.is_valid()
        page = query.get("page", "")
        known = page.isascii() and page.isdigit() and len(page) < 10
        return cls(
            kind=form.cleaned_data.get("kind", ""),
            standing=form.cleaned_data.get("standing", ""),
            page=min(max(int(page), 1), MAX_PAGE) if known else 1,
        )

    @property
    def active(self) -> bool:
        return bool(self.kind or self.standing)

    @property
    def address(self) -> str:
        return self.on_page(self.page)

    def on_page(self, page: int) -> str:
        """The address of another page of the same list."""
        said = {name: value for name, value in asdict(replace(self, page=page)).items() if value}
        return f"?{urlencode(said)}"

    def select(self) -> AlertQuerySet:
        alerts = Alert.objects.newest_first()
        if self.kind:
            alerts = alerts.filter(kind=self.kind)
        if self.standing == OPEN:
            return alerts.open()
        if self.standing == ACKNOWLEDGED:
            return alerts.filter(acknowledged_at__isnull=False)
        return alerts.filter(resolved_at__isnull=False) if self.standing == OVER else alerts


@dataclass(frozen=True, slots=True)
class AlertPage:
    filters: AlertFilters
    rows: list[Row]
    more: bool

    @property
    def newer(self) -> str:
        return self.filters.on_page(self.filters.page - 1) if self.filters.page > 1 else ""

    @property
    def older(self) -> str:
        return self.filters.on_page(self.filters.page + 1) if self.more else ""

    @property
    def open(self) -> list[int]:
        return [row.alert.pk for row in self.rows if row.is_open]

    def parts(self, may_acknowledge: bool) -> dict[str, SafeString]:
        """What stands around the list, by the ids of the elements."""
        context = {"page": self, "may_acknowledge": may_acknowledge, **_standing()}
        names = {"alerts": "count", "acknowledge_open": "acknowledge_open", "pager": "pager"}
        return {
            element: render_to_string(f"dashboard/_alerts_{name}.html", context)
            for element, name in names.items()
        }

    def elements(self, may_acknowledge: bool) -> dict[str, SafeString]:
        """The markup of the list by the ids of its elements."""
        return {
            f"alert:{row.alert.pk}": render_to_string(
                "dashboard/_alert_row.html", {"row": row, "may_acknowledge": may_acknowledge}
            )
            for row in self.rows
        }


def page(filters: AlertFilters) -> AlertPage:
    first = (filters.page - 1) * PAGE
    found = list(filters.select().select_related("call")[first : first + PAGE + 1])
    return AlertPage(filters, [Row.of(alert) for alert in found[:PAGE]], len(found) > PAGE)


def strip(may_acknowledge: bool, *, since: float) -> SafeString:
    """The open alerts, as they were at `since` (`time.monotonic`) or later."""
    return strips.get(may_acknowledge, lambda: _strip(may_acknowledge), since=since)


def _strip(may_acknowledge: bool) -> SafeString:
    """An outage first, for it explains much of the rest."""
    alerts = Alert.objects.open().select_related("call")
    outages = alerts.filter(kind=AlertKind.OUTAGE)
    others = alerts.exclude(kind=AlertKind.OUTAGE).newest_first()
    shown = [*outages, *others[:SHOWN]][:SHOWN]
    standing = _standing()
    context = {
        "rows": [Row.of(alert) for alert in shown],
        "more": standing["open"] > len(shown),
        "may_acknowledge": may_acknowledge,
        **standing,
    }
    return render_to_string("dashboard/_alerts.html", context)


def _standing() -> dict[str, Any]:
    """How many alerts are open, and the newest of them."""
    count = Alert.objects.open()[: COUNTED + 1].count()
    newest = Alert.objects.open().newest_first().values_list("pk", flat=True).first()
    return {
        "open": count,
        "count": f"{COUNTED}+" if count > COUNTED else count,
        "newest": newest or 0,
    }
