"""Times in the markup: absolute and in UTC for those who read without JavaScript; `clocks.js`
turns them into the viewer's zone, into ages and into countdowns.
"""

from datetime import UTC, datetime, timedelta

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString

register = template.Library()


@register.simple_tag
def moment(at: datetime) -> SafeString:
    """When something happened."""
    return _time("moment", at)


@register.simple_tag
def until(at: datetime) -> SafeString:
    """A countdown."""
    return _time("until", at)


@register.simple_tag
def since(at: datetime) -> SafeString:
    """A duration that goes on."""
    return _time("since", at, before="since ")


@register.simple_tag
def pulse(at: datetime) -> SafeString:
    """How long ago the last packet of a call in progress came."""
    return format_html(
        '<span class="pulse" data-clock="pulse" data-at="{}">last packet {}</span>',
        iso(at),
        _plain(at),
    )


@register.filter
def iso(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


@register.filter
def clock(duration: timedelta | float) -> str:
    """`1:05` or `1:02:03`."""
    seconds = duration.total_seconds() if isinstance(duration, timedelta) else duration
    minutes, left = divmod(int(max(seconds, 0)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{left:02}" if hours else f"{minutes}:{left:02}"


def _time(kind: str, at: datetime, *, before: str = "") -> SafeString:
    return format_html(
        '<time datetime="{}" data-clock="{}">{}{}</time>', iso(at), kind, before, _plain(at)
    )


def _plain(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
