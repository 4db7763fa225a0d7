"""What the viewer of the board asks for, read from the address of the page."""

from dataclasses import asdict, dataclass, replace
from typing import Any, Self

from django import forms
from django.http import QueryDict
from django.utils.http import urlencode

from calls.models import Call
from calls.models.call import CallQuerySet
from calls.states import Outcome, State

MAX_PAGE = 100_000
OUTCOMES = [
    (value, "Waiting for AI" if value == Outcome.PENDING else label)
    for value, label in Outcome.choices
]


class FilterForm(forms.Form):
    q = forms.CharField(label="Call id", max_length=128, required=False)
    state = forms.ChoiceField(
        choices=[("", "All but archived"), *State.choices], label="State", required=False
    )
    agent = forms.CharField(label="Agent", max_length=200, required=False)
    queue = forms.CharField(label="Queue", max_length=200, required=False)
    outcome = forms.ChoiceField(choices=[("", "Any"), *OUTCOMES], label="Outcome", required=False)

    def __init__(self, data: QueryDict) -> None:
        super().__init__(data, auto_id="filter-%s")
        self.fields["q"].widget.input_type = "search"
        for name in ("agent", "queue"):
            self.fields[name].widget.attrs["list"] = f"known-{name}s"


@dataclass(frozen=True, slots=True)
class Filters:
    """Empty fields ask for nothing; what cannot be read counts as empty."""

    q: str = ""
    state: str = ""
    agent: str = ""
    queue: str = ""
    outcome: str = ""
    page: int = 1

    @classmethod
    def read(cls, query: QueryDict) -> Self:
        form = FilterForm(query)
        form.is_valid()
        return cls(**form.cleaned_data, page=_page(query.get("page", "")))

    @property
    def active(self) -> bool:
        return replace(self, page=1) != Filters()

    def on_page(self, page: int) -> str:
        """The address of another page of the same list."""
        return f"?{urlencode(_said(replace(self, page=page)))}"

    def select(self) -> CallQuerySet:
        """Newest first; archived calls only where they are asked for or searched."""
        calls = Call.objects.newest_first()
        if self.state:
            calls = calls.filter(state=self.state)
        elif not self.q:
            calls = calls.exclude(state=State.ARCHIVED)
        if self.q:
            calls = calls.filter(call_id__icontains=self.q)
        if self.agent:
            calls = calls.filter(agent=self.agent)
        if self.queue:
            calls = calls.filter(queue=self.queue)
        if self.outcome == Outcome.PENDING:
            return calls.waiting_for_outcome()
        return calls.filter(ai_outcome=self.outcome) if self.outcome else calls


def _page(text: str) -> int:
    known = text.isascii() and text.isdigit() and len(text) < 10
    return min(max(int(text), 1), MAX_PAGE) if known else 1


def _said(filters: Filters) -> dict[str, Any]:
    fields = asdict(filters)
    return {name: value for name, value in fields.items() if value and (name, value) != ("page", 1)}
