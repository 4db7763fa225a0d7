"""Who posts by hand what no page offered is refused, and it is recorded."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.contrib import admin
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.views.main import ChangeList
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.utils import timezone

from calls.models.audit import Verb
from calls.records import audit


@contextmanager
def refusals_recorded(request: HttpRequest, *, call_id: str = "") -> Iterator[None]:
    """Of posts; to be told that a page may not be seen is no news."""
    try:
        yield
    except PermissionDenied as refusal:
        if request.method == "POST":
            audit.record(
                actor=f"user {request.user}",
                verb=Verb.REFUSED,
                call_id=call_id,
                detail=str(refusal) or f"POST {request.path}",
                now=timezone.now(),
            )
        raise


class Readable(admin.ModelAdmin[Any]):
    """A list whose address cannot be read is shown without its filters."""

    def get_changelist_instance(self, request: HttpRequest) -> ChangeList:
        try:
            return super().get_changelist_instance(request)
        except (ValueError, OverflowError) as error:
            # Django reads no year before 1 and none after 9999, and says so when it is asked for.
            raise IncorrectLookupParameters(error) from error


class Guarded(Readable):
    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        with refusals_recorded(request, call_id=self.call_chosen(request)):
            self._refuse_what_is_not_offered(request)
            return super().changelist_view(request, extra_context)

    def changeform_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        with refusals_recorded(request):
            return super().changeform_view(request, *args, **kwargs)

    def delete_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        with refusals_recorded(request):
            return super().delete_view(request, *args, **kwargs)

    def call_chosen(self, request: HttpRequest) -> str:
        """The id of the one call that an action is to be done to."""
        return ""

    def _refuse_what_is_not_offered(self, request: HttpRequest) -> None:
        """Django itself would only say that no action was selected."""
        asked = set(request.POST.getlist("action")) - {"", *self.get_actions(request)}
        if asked:
            raise PermissionDenied(f"{', '.join(sorted(asked))} in the admin")
