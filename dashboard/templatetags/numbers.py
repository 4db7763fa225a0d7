"""Numbers in the markup."""

from django import template

register = template.Library()


@register.filter
def signed(score: float) -> str:
    """`+0.62` or `−0.40`, with a real minus sign."""
    return f"{score:+.2f}".replace("-", "−")  # noqa: RUF001
