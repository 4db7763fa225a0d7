"""Lines of the log: one shape, no line breaks from outside, nothing that must not be kept."""

import base64
import json
import logging
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from django.db import IntegrityError, connection
from pydantic import BaseModel, ValidationError

from callcenter.embedded.engines import Urls
from callcenter.logs import Clean, Json, OneLineARequest, Text
from calls import context
from tests.ai_service import ai_service
from tests.deploy.settings_read import settings_read
from tests.factories import api_key
from tests.processes import WEB, WORKER, Running, free_port, running
from tests.waiting import until

SECRET = "cc_abcdefgh_" + "S3cret-" * 6
AUDIO = base64.b64encode(bytes(range(256)) * 2).decode()
SPOKEN = "zanzibar"


def line(words: str, *args: object, error: BaseException | None = None, **extra: object) -> str:
    return shaped(Json(secrets=["hunter2-hunter2"]), words, *args, error=error, **extra)


def shaped(
    shape: Clean, words: str, *args: object, error: BaseException | None = None, **extra: object
) -> str:
    trouble = (type(error), error, error.__traceback__) if error else None
    record = logging.LogRecord("calls", logging.WARNING, "here.py", 1, words, args, trouble)
    record.__dict__.update(extra)
    return shape.format(record)


def caught(act: Callable[[], object]) -> BaseException:
    with pytest.raises(Exception) as raised:  # noqa: PT011
        act()
    return raised.value


def test_a_line_is_one_object_with_time_level_logger_and_message() -> None:
    said = json.loads(line("call %s ended", "a-1", call_id="a-1"))
    assert said.pop("time").endswith("Z")
    assert said == {
        "level": "WARNING",
        "logger": "calls",
        "message": "call a-1 ended",
        "call_id": "a-1",
    }


@pytest.mark.parametrize("evil", ["a\n{}", "a\r\nb", "\u2028b", "\x1b[2J", "\ud800"])
def test_nothing_from_outside_begins_a_line(evil: str) -> None:
    for shape in (Json(), Text()):
        written = shaped(shape, "path %s", evil, call_id=evil)
        assert written.isprintable(), written
        assert written.encode()


def test_an_error_of_the_database_is_told_without_the_row() -> None:
    row = f"DETAIL:  Failing row contains (1, {SPOKEN}, {AUDIO})."
    error = IntegrityError(f'violates check constraint "call_state"\n{row}\n')
    for written in (
        line("refused: %s", error),
        line(f"refused: {error}"),
        line("refused", error=error),
        shaped(Text(), "refused", error=error),
    ):
        assert "call_state" in written
        assert SPOKEN not in written
        assert "Failing row" not in written


def test_what_an_error_quotes_is_left_out_unless_it_is_a_name() -> None:
    words = f"please bring me to {SPOKEN}"
    error = caught(lambda: float(words))
    assert SPOKEN not in line("stopped short", error=error)
    assert "float" in line("stopped short", error=error)
    assert "call_state" in line("stopped", error=KeyError("call_state"))


def test_the_first_causes_of_an_error_are_told_first_and_as_carefully() -> None:
    try:
        try:
            float(f"a {SPOKEN}")
        except ValueError as first:
            raise RuntimeError("second") from first
    except RuntimeError as error:
        said = json.loads(line("stopped", error=error))
    assert said["error"] == "RuntimeError: second"
    assert any(one.startswith("ValueError") for one in said["traceback"])
    assert SPOKEN not in json.dumps(said)


def test_input_that_a_schema_refuses_is_not_told() -> None:
    class Number(BaseModel):
        number: int

    error = caught(lambda: Number(number=SPOKEN))  # type: ignore[arg-type]
    assert isinstance(error, ValidationError)
    assert SPOKEN not in line("%s", error) + line("invalid", error=error)


@pytest.mark.parametrize(
    "words",
    [
        f"the key {SECRET} was refused",
        f"Authorization: Bearer {SECRET}",
        "Authorization: Bearer S3cret.of.somebody-else",
        "connecting to postgresql://me:hunter2-hunter2@db/calls",
        "the password hunter2-hunter2",
        f"a packet {AUDIO}",
    ],
)
def test_keys_passwords_and_audio_are_cut_out(words: str) -> None:
    written = line(words)
    for secret in ("S3cret", "hunter2", AUDIO[20:60]):
        assert secret not in written


def test_what_cannot_be_put_together_is_told_all_the_same() -> None:
    assert json.loads(line("%d of %d", "many"))["message"] == "%d of %d"


def test_what_django_says_of_a_request_goes_into_the_request_s_own_line() -> None:
    record = logging.LogRecord("django.request", 30, "x", 1, "Not Found: %s", ("/x",), None)
    record.status_code = 404
    assert OneLineARequest().filter(record)  # no request is under way
    about = context.About()
    context.begin(about)
    assert not OneLineARequest().filter(record)
    assert about.why == "Not Found: /x"


def test_which_call_a_request_is_about_is_read_from_its_path() -> None:
    for path in ("/v1/call/stream/a-1", "/v1/call/a-1/end", "/v1/call/a-1", "/calls/a-1/"):
        assert context.About(path=path).call_id == "a-1"
    assert context.About(path="/v1/calls").call_id == ""
    assert context.About(path="/v1/call/a%0Ab").call_id == ""


def said_by(process: Running) -> list[dict[str, Any]]:
    lines = process.said().splitlines()
    return [json.loads(one) for one in lines]


@pytest.mark.processes
@pytest.mark.django_db(transaction=True)
def test_no_line_of_web_or_worker_holds_audio_words_or_keys(engines: Urls, tmp_path: Path) -> None:
    """Calls go through while everything that can be refused or fail does so, at LOG_LEVEL=DEBUG."""
    answer = {"text": SPOKEN, "segments": [{"start": 0.0, "end": 1.0, "text": f"{SPOKEN} please"}]}
    trouble: Any = (500, {}, {"error": {"message": f"cannot take {SPOKEN} {AUDIO}"}})
    secret, port = api_key(), free_port()
    loud = {"LOG_LEVEL": "DEBUG", "AI_API_KEY": "sk-very-secret-key", "PORT": str(port)}
    (tmp_path / "web").mkdir()
    (tmp_path / "worker").mkdir()
    with connection.cursor() as cursor:
        cursor.execute(
            "ALTER TABLE calls_utterance ADD CONSTRAINT unspeakable CHECK (start <> 0) NOT VALID"
        )
    try:
        with ai_service() as service:
            loud["AI_BASE_URL"] = service.url
            with (
                running(WEB, urls=engines, home=tmp_path / "web", **loud) as web,
                running(WORKER, urls=engines, home=tmp_path / "worker", **loud) as worker,
            ):
                client = httpx.Client(
                    base_url=f"http://127.0.0.1:{port}",
                    headers={"authorization": f"Bearer {secret}"},
                    trust_env=False,
                )
                until(lambda: reached(client), 30, web.said())
                service.script = [trouble, (200, {}, b"not json: " + SPOKEN.encode())]
                service.always = (200, {}, answer)
                ids = misbehave(client, secret)
                until(lambda: "stopped short" in worker.said(), 40, worker.said())
                with connection.cursor() as cursor:
                    cursor.execute("ALTER TABLE calls_utterance DROP CONSTRAINT unspeakable")
                web_said, worker_said = said_by(web), said_by(worker)
    finally:
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE calls_utterance DROP CONSTRAINT IF EXISTS unspeakable")
    everything = json.dumps([web_said, worker_said])
    for forbidden in (SPOKEN, AUDIO[20:60], secret[12:], "sk-very-secret", "S3cret"):
        assert forbidden not in everything
    for one in [*web_said, *worker_said]:
        assert {"time", "level", "logger", "message"} <= one.keys()
        assert one["level"] != "CRITICAL"
    [refused] = [one for one in web_said if one.get("request_id") == ids["refused"]]
    assert (refused["status"], refused["path"], refused["call_id"], refused["key"]) == (
        422, "/v1/call/stream/logged", "logged", secret[3:11],
    )  # fmt: skip
    assert not [one for one in web_said if one.get("request_id") == ids["taken"]]
    assert [one["call_id"] for one in web_said if "packets missing" in one["message"]] == ["logged"]
    stopped = [one for one in worker_said if "stopped short" in one["message"]]
    assert stopped[0]["call_id"] == "logged"
    assert "unspeakable" in stopped[0]["error"]
    numbers = [one["request_id"] for one in web_said if "status" in one]
    assert len(numbers) == len(set(numbers))


def reached(client: httpx.Client) -> bool:
    try:
        return client.get("/health").status_code == 200
    except httpx.HTTPError:
        return False


def misbehave(client: httpx.Client, secret: str) -> dict[str, str]:
    """Every kind of request that should leave a trace, and some that should not; their ids."""
    good = {"sequence": 1, "data": AUDIO, "timestamp": 1.5}
    address = "/v1/call/stream/logged"
    taken = client.post(address, json=good, headers={"x-request-id": "from-the-pbx.1"})
    assert (taken.status_code, taken.headers["x-request-id"]) == (202, "from-the-pbx.1")
    client.post(address, json=good | {"sequence": 4})
    refused = client.post(address, json=good | {"timestamp": SPOKEN, "extra": AUDIO})
    assert refused.status_code == 422
    strange = client.post(address, json=good, headers={"x-request-id": "a b\tc" * 99})
    assert strange.headers["x-request-id"] != "a b\tc" * 99
    client.post(address, content=b"\xff\xfe" + SPOKEN.encode())
    client.post("/v1/packets", json={"packets": [good | {"call_id": f"{SPOKEN} x"}]})
    client.post(address, json=good, headers={"authorization": f"Bearer {SECRET}"})
    client.get("/v1/calls", params={"q": SPOKEN, "agent": AUDIO})
    client.get("/v1/calls", params={SPOKEN: "x"})
    client.get('/v1/call/a%0a{"level":"CRITICAL"}/status')
    client.get("/nowhere%0d%0ax", headers={"host": "elsewhere.example"})
    client.post("/login/", data={"username": SPOKEN, "password": SECRET})
    client.put("/v1/call/logged", json={"agent": SPOKEN, "metadata": {"note": AUDIO}})
    assert client.post("/v1/call/logged/end", json={"reason": SPOKEN}).status_code == 202
    return {"taken": "from-the-pbx.1", "refused": refused.headers["x-request-id"]}


@pytest.mark.parametrize(
    ("given", "shape"),
    [
        ({}, "Text"),
        ({"DATABASE_URL": "postgresql://x/y", "SECRET_KEY": "x"}, "Json"),
        ({"DATABASE_URL": "postgresql://x/y", "DEBUG": "on"}, "Text"),
        ({"LOG_FORMAT": "json"}, "Json"),
        ({"LOG_FORMAT": "xml"}, "LOG_FORMAT: expected one of json, text (got 'xml')"),
    ],
)
def test_a_production_start_writes_for_machines(given: dict[str, str], shape: str) -> None:
    words = "from django.conf import settings as s; print(s.LOGGING['formatters']['line']['()'])"
    unset = {"DATABASE_URL", "DEBUG", "LOG_FORMAT", "SECRET_KEY"}
    environment = {name: value for name, value in os.environ.items() if name not in unset}
    environment |= {"DJANGO_SETTINGS_MODULE": "callcenter.settings"} | given
    done = said_at_start([sys.executable, "-W", "ignore", "-c", words], environment)
    assert shape in done


SECRETS = {
    "SECRET_KEY": "{}",
    "AI_API_KEY": "{}",
    "TWILIO_AUTH_TOKEN": "{}",
    "STORAGE_URL": "s3://key:{}@s3.example.com/calls",
    "DATABASE_URL": "postgresql://me:{}@db.example.com/calls",
    "REDIS_URL": "redis://:{}@redis.example.com",
}


def test_all_secrets_of_the_settings_are_looked_for() -> None:
    assert {f"{name}_FILE" for name in SECRETS} == {
        name for name in settings_read() if name.endswith("_FILE")
    }


@pytest.mark.parametrize("name", SECRETS)
def test_no_secret_of_the_settings_gets_into_a_line(name: str) -> None:
    secret = "hunter2/hunter2-hunter2"
    given = SECRETS[name].format(secret if SECRETS[name] == "{}" else quote(secret, safe=""))
    words = "import django, logging, sys; django.setup(); logging.error('with %s', sys.argv[1])"
    environment = os.environ | {"DJANGO_SETTINGS_MODULE": "callcenter.settings"}
    environment |= {"SECRET_KEY": "another", name: given}
    said = said_at_start([sys.executable, "-W", "ignore", "-c", words, secret], environment)
    assert "with" in said
    assert "hunter2" not in said


def said_at_start(words: list[str], environment: dict[str, str]) -> str:
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
    return done.stdout + done.stderr
