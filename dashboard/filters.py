"""What the viewer of the board asks for, read from the address of the page."""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final, Self
from zoneinfo import ZoneInfo

from django import forms
from django.http import QueryDict
from django.utils import timezone
from django.utils.http import urlencode

from calls.models import Call
from calls.models.call import CallQuerySet
from calls.states import Outcome, Sentiment, State
from dashboard.ordering import ORDERS, Order
from dashboard.zones import UTC

MINUTE: Final = "%Y-%m-%dT%H:%M"
YEARS: Final = range(1970, 9000)
MAX_CURSOR: Final = 60  # characters
FOLDED: Final = ("sentiment", "started_after", "started_before", "min_duration")
OUTCOMES = [
    (value, "Waiting for AI" if value == Outcome.PENDING else label)
    for value, label in Outcome.choices
]


class MomentField(forms.DateTimeField):
    """To the minute, in the viewer's zone."""

    widget = forms.DateTimeInput({"type": "datetime-local"}, format=MINUTE)

    def to_python(self, value: Any) -> datetime | None:
        moment: datetime | None = super().to_python(value)
        if moment and moment.year not in YEARS:
            raise forms.ValidationError("There were no calls in that year.")
        return moment


class FilterForm(forms.Form):
    q = forms.CharField(label="Words or call id", max_length=200, required=False)
    state = forms.ChoiceField(
        choices=[("", "All but archived"), *State.choices], label="State", required=False
    )
    agent = forms.CharField(label="Agent", max_length=200, required=False)
    queue = forms.CharField(label="Queue", max_length=200, required=False)
    outcome = forms.ChoiceField(choices=[("", "Any"), *OUTCOMES], label="Outcome", required=False)
    sentiment = forms.ChoiceField(
        choices=[("", "Any"), *Sentiment.choices], label="Sentiment", required=False
    )
    started_after = MomentField(label="Started from", required=False)
    started_before = MomentField(label="Started before", required=False)
    min_duration = forms.FloatField(
        label="Seconds at least", min_value=0, max_value=1e9, required=False
    )
    sort = forms.ChoiceField(
        choices=[(name, order.label) for name, order in ORDERS.items()],
        label="Order",
        required=False,
    )

    def __init__(self, data: QueryDict) -> None:
        super().__init__(data, auto_id="filter-%s")
        self.fields["q"].widget.input_type = "search"
        for name in ("agent", "queue"):
            self.fields[name].widget.attrs["list"] = f"known-{name}s"

    @property
    def first(self) -> list[forms.BoundField]:
        return [field for field in self if field.name not in FOLDED]

    @property
    def more(self) -> list[forms.BoundField]:
        return [field for field in self if field.name in FOLDED]

    @property
    def more_asked(self) -> bool:
        return any(self.data.get(name) for name in FOLDED)


@dataclass(frozen=True, slots=True)
class Filters:
    """Empty fields ask for nothing; what cannot be read counts as empty."""

    q: str = ""
    state: str = ""
    agent: str = ""
    queue: str = ""
    outcome: str = ""
    sentiment: str = ""
    started_after: datetime | None = None
    started_before: datetime | None = None
    min_duration: float | None = None
    sort: str = ""
    after: str = ""
    before: str = ""
    zone: ZoneInfo = UTC

    @classmethod
    def read(cls, query: QueryDict, zone: ZoneInfo = UTC) -> Self:
        form = FilterForm(query)
        with timezone.override(zone):
            form.is_valid()
        after, before = (query.get(name, "")[:MAX_CURSOR] for name in ("after", "before"))
        return cls(**form.cleaned_data, after=after, before=before, zone=zone)

    @property
    def order(self) -> Order:
        return ORDERS[self.sort]

    @property
    def active(self) -> bool:
        return bool(self.query)

    @property
    def query(self) -> str:
        """What is asked for, as in the address, from the top of the list."""
        return self.at().address.removeprefix("?")

    def at(self, *, after: str = "", before: str = "") -> Self:
        """The same list from another place on."""
        return replace(self, after=after, before=before)

    @property
    def address(self) -> str:
        said = {
            name: _written(value, self.zone)
            for name in FilterForm.base_fields.keys() | {"after", "before"}
            if (value := getattr(self, name)) not in ("", None)
        }
        return f"?{urlencode(sorted(said.items()))}"

    def select(self, *, now: datetime) -> CallQuerySet:
        """In no order; archived calls only where they are asked for or searched."""
        exact = {
            "state": self.state,
            "agent": self.agent,
            "queue": self.queue,
            "result__sentiment": self.sentiment,
        }
        calls = Call.objects.filter(**{name: value for name, value in exact.items() if value})
        if not self.state and not self.q:
            calls = calls.exclude(state=State.ARCHIVED)
        if self.outcome == Outcome.PENDING:
            calls = calls.waiting_for_outcome()
        elif self.outcome:
            calls = calls.filter(ai_outcome=self.outcome)
        if "result__" in self.order.field:
            # The one lets the join begin with the result, the other has statistics beside states.
            calls = calls.filter(result__isnull=False, has_ai_result=True)
        calls = calls.started(after=self.started_after, before=self.started_before)
        return calls.lasting(self.min_duration, now=now) if self.min_duration else calls


def _written(value: object, zone: ZoneInfo) -> str:
    if isinstance(value, datetime):
        return value.astimezone(zone).replace(tzinfo=None).isoformat(timespec="minutes")
    return str(value).removesuffix(".0") if isinstance(value, float) else str(value)
