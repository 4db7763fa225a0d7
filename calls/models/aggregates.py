"""Aggregates that PostgreSQL has and Django has no name for."""

from django.db.models import Aggregate, FloatField


class Percentile(Aggregate):
    """`percentile_cont`, of durations in seconds: `Percentile("took", share=0.95)`."""

    function = "PERCENTILE_CONT"
    template = "%(function)s(%(share)s) WITHIN GROUP (ORDER BY EXTRACT(EPOCH FROM %(expressions)s))"
    output_field = FloatField()

    def __init__(self, expression: object, *, share: float, **extra: object) -> None:
        super().__init__(expression, share=share, **extra)  # type: ignore[arg-type]
