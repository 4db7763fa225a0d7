"""Spans for OpenTelemetry, switched on by its usual variables; while off nothing of it is loaded.

Spans name calls by their ids and hold no text: of errors they say the kind alone.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

from django.conf import settings

ON: bool = settings.TRACING is not None

if ON:
    from opentelemetry import propagate, trace
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter

    # Its batches survive a fork; OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES go first.
    _provider = TracerProvider(resource=Resource.create({"service.name": "callcenter"}))
    _exporter = ConsoleSpanExporter() if settings.TRACING == "console" else OTLPSpanExporter()
    _provider.add_span_processor(BatchSpanProcessor(_exporter))
    _tracer = _provider.get_tracer("callcenter")

_OFF: AbstractContextManager[None] = nullcontext()
NOTHING: Mapping[str, str | int] = {}


def span(
    name: str,
    *,
    kind: str = "internal",
    headers: Sequence[tuple[bytes, bytes]] | None = None,
    links: Sequence[Any] = (),
    attributes: Mapping[str, str | int] = NOTHING,
) -> AbstractContextManager[Any]:
    """A span for the length of the block, given to it; None while tracing is off.

    `headers` may bring the `traceparent` of whoever asked; `links` are spans found by `here`.
    """
    return _span(name, kind, headers, links, attributes) if ON else _OFF


@contextmanager
def _span(
    name: str,
    kind: str,
    headers: Sequence[tuple[bytes, bytes]] | None,
    links: Sequence[Any],
    attributes: Mapping[str, str | int],
) -> Iterator[Any]:
    with _tracer.start_as_current_span(
        name,
        context=propagate.extract(_text(headers)) if headers is not None else None,
        kind=trace.SpanKind[kind.upper()],
        links=[trace.Link(link) for link in links if link and link.is_valid],
        attributes=dict(attributes),
        # What errors say may hold what is not to be told.
        record_exception=False,
        set_status_on_exception=False,
    ) as found:
        try:
            yield found
        except Exception as error:
            failed(found, type(error).__name__)
            raise


def failed(found: Any, kind: str) -> None:
    """What the span is about went wrong; nothing while tracing is off."""
    if found is not None:
        found.set_attribute("error.type", kind)
        found.set_status(trace.StatusCode.ERROR)


def here() -> Any:
    """The span under way, to be linked to from another thread; None while tracing is off."""
    return trace.get_current_span().get_span_context() if ON else None


def outgoing() -> dict[str, str]:
    """Headers that carry the trace to another service; none while tracing is off."""
    headers: dict[str, str] = {}
    if ON:
        propagate.inject(headers)
    return headers


def flush() -> None:
    """Sends what has not been sent, before a process that ends without a word."""
    if ON:
        _provider.force_flush(2000)


def _text(headers: Sequence[tuple[bytes, bytes]]) -> dict[str, str]:
    wanted = (b"traceparent", b"tracestate")
    return {
        name.decode(): value.decode("latin-1")[:512] for name, value in headers if name in wanted
    }
