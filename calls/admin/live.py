"""What the admin shows of a call that changes while somebody looks at it.

Each value has an element of its own, whose markup first paint and live update take from here.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from django.contrib.admin.utils import display_for_field, display_for_value
from django.template.loader import render_to_string
from django.utils.html import format_html
from django.utils.safestring import SafeString

from calls.admin.readonly import link
from calls.models import Call

NOTHING = "-"
IN_LIST = (
    "state",
    "ai_outcome",
    "agent",
    "queue",
    "packet_count",
    "missing",
    "attempts",
    "last_packet_at",
    "late",
    "held",
)
HEADINGS = {
    "ai_outcome": "AI outcome",
    "ai_words": "why",
    "packet_count": "packets",
    "last_packet_at": "last packet",
}
ON_PAGE = (
    "state",
    "end_reason",
    "ai_outcome",
    "ai_words",
    "result",
    "held",
    "agent",
    "queue",
    "caller",
    "callee",
    "direction",
    "encoding",
    "sample_rate",
    "packet_count",
    "last_sequence",
    "missing",
    "duplicates",
    "late",
    "unread_late",
    "out_of_order",
    "run",
    "attempts",
    "next_attempt_at",
    "last_error",
    "last_packet_at",
    "ended_at",
    "processed_at",
    "updated_at",
    "version",
)
MOST = 200  # calls a page
FIELDS = {field.name: field for field in Call._meta.fields}

Show = Callable[[Call], SafeString]


def live(name: str) -> Show:
    """A column or a field of the admin."""

    def show(call: Call) -> SafeString:
        return _element(call, name)

    show.__name__ = name
    described = {"short_description": HEADINGS.get(name, name.replace("_", " "))}
    if name in FIELDS:
        described["admin_order_field"] = name
    vars(show).update(described)
    return show


# Django takes functions as fields of a form too; its stubs do not know.
SHOW: dict[str, Any] = {name: live(name) for name in dict.fromkeys((*IN_LIST, *ON_PAGE))}


def rows(calls: Iterable[Call]) -> dict[str, SafeString]:
    """The markup of each element of a list by its id."""
    return {_id(call, name): _element(call, name) for call in calls for name in IN_LIST}


def page(call: Call, tools: Mapping[str, str]) -> dict[str, SafeString]:
    """The same of a call's page; `tools` are the words of its buttons by their actions."""
    found = {_id(call, name): _element(call, name) for name in ON_PAGE}
    return found | {"tools": buttons(tools), "story": story(call)}


def buttons(tools: Mapping[str, str]) -> SafeString:
    """What may be done to the call as it is."""
    return render_to_string("admin/calls/call/_tools.html", {"tools": tools})


def story(call: Call) -> SafeString:
    """What happened to the call: its moves, its AI runs, its files in the storage."""
    context = {
        "moves": call.moves.order_by("pk"),
        "runs": call.jobs.order_by("run"),
        "files": call.recordings.all(),
    }
    return render_to_string("admin/calls/call/_story.html", context)


def newest() -> int:
    """The key of the call that began last, 0 where there is none."""
    return Call.objects.order_by("-pk").values_list("pk", flat=True).first() or 0


def newer(than: int) -> dict[str, SafeString]:
    """The element that says how many calls began since; rows never move under somebody's hand."""
    began = Call.objects.filter(pk__gt=than)[: MOST + 1].count()
    if not began:
        return {}
    many = f"more than {MOST}" if began > MOST else str(began)
    words = f"{many} newer {'call' if began == 1 else 'calls'}: reload"
    return {"newer": format_html('<span id="newer" role="status"><a href="">{}</a></span>', words)}


def _element(call: Call, name: str) -> SafeString:
    words = _words(call, name)
    return format_html('<span id="{}" data-live>{}</span>', _id(call, name), words)


def _id(call: Call, name: str) -> str:
    return f"call:{call.pk}:{name}"


def _words(call: Call, name: str) -> str:
    if name == "result":
        return link(call.result, "transcript and sentiment") if call.has_ai_result else "none"
    value = getattr(call, name)
    if value == "" or value is False:
        return NOTHING
    if value is True:
        return "yes"
    field = FIELDS.get(name)
    return display_for_field(value, field, NOTHING) if field else display_for_value(value, NOTHING)
