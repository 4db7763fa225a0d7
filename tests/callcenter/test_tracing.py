"""Traces by OpenTelemetry's usual variables: from the request to the AI service, without a word."""

import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

import httpx
import pytest

from callcenter.embedded.engines import Urls
from tests.ai_service import ai_service
from tests.factories import SPEECHLESS, api_key
from tests.processes import WEB, WORKER, free_port, running
from tests.waiting import until

NEEDED = "opentelemetry.proto.collector.trace.v1.trace_service_pb2"
INSTALLED = any(one.name == "opentelemetry-sdk" for one in distributions())
SPOKEN = "zanzibar"
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
ANSWER = {"text": SPOKEN, "segments": [{"start": 0.0, "end": 1.0, "text": SPOKEN}]}


class Collector:
    """An OTLP/HTTP receiver: what came, as it came and by the names of the spans."""

    def __init__(self) -> None:
        self.messages = pytest.importorskip(NEEDED, reason="pip install -r requirements-otel.txt")
        self.bodies: list[bytes] = []

    def spans(self, name: str) -> list[Any]:
        found = []
        for body in list(self.bodies):
            request = self.messages.ExportTraceServiceRequest.FromString(body)
            for resource in request.resource_spans:
                for scope in resource.scope_spans:
                    found += [span for span in scope.spans if span.name == name]
        return found


@contextmanager
def collecting() -> Iterator[tuple[Collector, str]]:
    collector = Collector()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            collector.bodies.append(self.rfile.read(int(self.headers["content-length"])))
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield collector, f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def attributes(span: Any) -> dict[str, str]:
    return {one.key: one.value.string_value for one in span.attributes}


@pytest.mark.processes
@pytest.mark.django_db(transaction=True)
def test_a_call_is_followed_from_its_packet_to_the_ai_service(
    engines: Urls, tmp_path: Path
) -> None:
    key, port = api_key(), free_port()
    for name in ("web", "worker"):
        (tmp_path / name).mkdir()
    with collecting() as (collector, url), ai_service() as service:
        service.script = [(500, {}, {"error": {"message": SPOKEN}})]
        service.always = (200, {}, ANSWER)
        given = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": url,
            "OTEL_BSP_SCHEDULE_DELAY": "200",
            "AI_BASE_URL": service.url,
            "PORT": str(port),
        }
        with (
            running(WEB, urls=engines, home=tmp_path / "web", **given) as web,
            running(WORKER, urls=engines, home=tmp_path / "worker", **given) as worker,
        ):
            client = httpx.Client(
                base_url=f"http://127.0.0.1:{port}",
                headers={
                    "authorization": f"Bearer {key}",
                    "traceparent": f"00-{TRACE}-00f067aa0ba902b7-01",
                },
                trust_env=False,
            )
            until(lambda: answers(client), 30, web.said())
            packet = {"sequence": 0, "data": SPEECHLESS, "timestamp": 1.5}
            assert client.post("/v1/call/stream/traced", json=packet).status_code == 202
            assert client.post("/v1/call/traced/end", json={"reason": SPOKEN}).status_code == 202
            until(lambda: len(collector.spans("ask the AI service")) == 2, 40, worker.said())
            until(lambda: collector.spans("run of a call"), 20, worker.said())
            until(lambda: collector.spans("commit packets"), 10, web.said())
    [sent] = collector.spans("POST /v1/call/stream/{call_id}")
    assert sent.trace_id.hex() == TRACE
    assert attributes(sent)["call.id"] == "traced"
    commits = collector.spans("commit packets")
    assert [link.span_id for commit in commits for link in commit.links] == [sent.span_id]
    [run] = collector.spans("run of a call")[-1:]
    assert attributes(run)["call.id"] == "traced"
    failed, asked = collector.spans("ask the AI service")
    assert attributes(failed)["error.type"] == "RequestFailed"
    carrier = re.compile(rb"(?i)traceparent: 00-(\w{32})-(\w{16})-\w\w")
    carried = [carrier.search(head) for head in service.heads]
    assert [found and found[2].decode() for found in carried] == [
        failed.span_id.hex(), asked.span_id.hex(),
    ]  # fmt: skip
    assert asked.trace_id == collector.spans("run of a call")[-1].trace_id
    everything = b"".join(collector.bodies)
    for forbidden in (SPOKEN, SPEECHLESS, key):
        assert forbidden.encode() not in everything


def answers(client: httpx.Client) -> bool:
    try:
        return client.get("/health").status_code == 200
    except httpx.HTTPError:
        return False


def started(**given: str) -> str:
    """What a start loads to send spans with, or why there is none; redis loads the rest itself."""
    words = (
        "import sys, callcenter.asgi, calls.ai.driver;"
        "print([name for name in sys.modules if name.startswith('opentelemetry.exporter')])"
    )
    environment = {n: value for n, value in os.environ.items() if not n.startswith("OTEL_")}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", words],
        env=environment | given,
        capture_output=True,
        text=True,
        check=False,
    )
    return (done.stdout + done.stderr).strip()


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"OTEL_TRACES_EXPORTER": "none", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://x:4318"},
        {"OTEL_SDK_DISABLED": "true", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://x:4318"},
    ],
)
def test_while_it_is_off_nothing_of_it_is_loaded(given: dict[str, str]) -> None:
    assert started(**given) == "[]"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("OTEL_TRACES_EXPORTER", "zipkin"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
    ],
)
def test_a_variable_that_cannot_be_followed_stops_the_start(name: str, value: str) -> None:
    said = started(**{name: value})
    assert said.startswith(f"{name}: expected")
    assert "\n" not in said


@pytest.mark.skipif(INSTALLED, reason="what traces need is installed")
@pytest.mark.parametrize(
    ("name", "value"),
    [("OTEL_TRACES_EXPORTER", "console"), ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://x:4318")],
)
def test_without_what_traces_need_the_variable_that_asks_for_them_is_named(
    name: str, value: str
) -> None:
    assert started(**{name: value}) == f"{name}: traces need more: install requirements-otel.txt"
