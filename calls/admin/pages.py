"""Long lists without a count of the whole table."""

from functools import cached_property

from django.core.paginator import Paginator
from django.db.models import QuerySet

COUNTED = 10_000


class BoundedPaginator(Paginator):  # type: ignore[type-arg]
    """Counts up to `COUNTED`; what lies behind is found by filters, not by turning pages."""

    @cached_property
    def count(self) -> int:
        return min(self._counted, COUNTED)

    @property
    def has_more(self) -> bool:
        return self._counted > COUNTED

    @cached_property
    def _counted(self) -> int:
        rows = self.object_list
        assert isinstance(rows, QuerySet)
        return rows.order_by()[: COUNTED + 1].count()
