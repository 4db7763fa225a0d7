"""Numbers in the markup."""

from django import template

register = template.Library()


@register.filter
def signed(score: float) -> str:
    """`+0.62`, or a minus sign proper instead of the hyphen."""
    return f"{score:+.2f}".replace("-", "−")  # noqa: RUF001
