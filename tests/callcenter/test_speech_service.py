"""The speech service, over real HTTP and with the real engine."""

import asyncio
import os
import signal
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import jiwer
import numpy as np
import psutil
import pytest
from django.conf import settings

from callcenter.sound.g711 import to_ulaw
from callcenter.sound.resampling import resample
from callcenter.sound.wav import open_wav, read_wav, ulaw_file
from callcenter.speech.config import SpeechConfig
from callcenter.speech.server import server
from callcenter.speech.service import SpeechService
from callcenter.speech.unreliability import Unreliability
from callcenter.speech.voice_activity import stretches
from tests.callcenter.serving import served
from tests.processes import free_port
from tests.waiting import until

# Its recognisers are started once, by one process of the tests.
pytestmark = pytest.mark.xdist_group("speech")

PATH = "/v1/audio/transcriptions"
FIXTURES = Path(__file__).resolve().parents[1] / "fixtures"
SENTENCE = FIXTURES / "address-rms.wav"
CANNED = SpeechConfig(failure_rate=0, latency=(0, 0), engine="canned", max_upload=1024 * 1024)
REAL = SpeechConfig(failure_rate=0, latency=(0, 0), recognisers=1, queue=4)


def silence(seconds: float, rate: int = 8_000) -> bytes:
    return ulaw_file([to_ulaw(np.zeros(round(seconds * rate), np.int16))], rate)


def ask(url: str, file: bytes = b"", **fields: Any) -> httpx.Response:
    files = {"file": ("track.wav", file or silence(1), "audio/wav")}
    data = {"model": "whisper-1", "response_format": "verbose_json", **fields}
    return httpx.post(f"{url}{PATH}", files=files, data=data, timeout=30, trust_env=False)


def taken(url: str) -> int:
    return int(httpx.get(f"{url}/health", trust_env=False).json()["taken"])


def words(text: str) -> str:
    return "".join(c for c in text.lower() if c.isalpha() or c in " '")


@contextmanager
def service(config: SpeechConfig) -> Iterator[str]:
    with served(server(SpeechService(config), "127.0.0.1", free_port())) as url:
        yield url


@pytest.fixture(scope="module")
def canned() -> Iterator[str]:
    with service(CANNED) as url:
        yield url


@pytest.fixture(scope="module")
def real() -> Iterator[str]:
    with service(REAL) as url:
        yield url


@pytest.fixture(scope="module")
def heard(real: str) -> dict[str, Any]:
    """What the real engine makes of a sentence, words included."""
    kinds = {"timestamp_granularities[]": ["segment", "word"]}
    said: dict[str, Any] = ask(real, SENTENCE.read_bytes(), **kinds).json()
    return said


# Unreliability -------------------------------------------------------------------------------


def test_the_given_share_of_requests_fails() -> None:
    unreliability = Unreliability(SpeechConfig(seed=1))
    fates = [unreliability.fate() for _ in range(4_000)]
    assert 0.23 < sum(fate.fails for fate in fates) / len(fates) < 0.27
    assert all(1 <= fate.seconds <= 3 for fate in fates if not fate.fails)


def test_failures_are_answered_503_in_the_openai_shape() -> None:
    config = SpeechConfig(failure_rate=0.25, latency=(0, 0), engine="canned", seed=7)
    expected = Unreliability(config)
    with service(config) as url:
        answers = [ask(url) for _ in range(20)]
    assert [a.status_code == 503 for a in answers] == [expected.fate().fails for _ in answers]
    failures = [a.json()["error"] for a in answers if a.status_code == 503]
    assert failures
    assert {error["type"] for error in failures} == {"server_error"}


def test_an_answer_takes_the_latency_at_least() -> None:
    config = SpeechConfig(failure_rate=0, latency=(0.3, 0.5), engine="canned")
    with service(config) as url:
        began = time.monotonic()
        assert ask(url).status_code == 200
        assert time.monotonic() - began >= 0.3


def test_a_full_queue_answers_429_and_says_when_to_come_again() -> None:
    config = SpeechConfig(failure_rate=0, latency=(60, 60), recognisers=1, queue=1)
    with service(config) as url, waiting(url):
        refusal = ask(url)
    assert refusal.status_code == 429
    assert int(refusal.headers["Retry-After"]) >= 1
    assert refusal.json()["error"]["type"] == "rate_limit_error"


@contextmanager
def waiting(url: str, file: bytes = b"") -> Iterator[None]:
    """A request that is being worked on; whatever becomes of it."""

    def request() -> None:
        with suppress(httpx.TransportError):
            ask(url, file)

    thread = threading.Thread(target=request)
    thread.start()
    until(lambda: taken(url) == 1, 10, "the request to be taken in")
    yield


async def test_who_goes_away_gives_the_place_back() -> None:
    with service(SpeechConfig(failure_rate=0, latency=(60, 60), engine="canned")) as url:
        async with httpx.AsyncClient(trust_env=False) as client:
            files = {"file": ("track.wav", silence(1), "audio/wav")}
            request = asyncio.create_task(client.post(f"{url}{PATH}", files=files, timeout=60))
            await asyncio.to_thread(until, lambda: taken(url) == 1, 10)
            request.cancel()
        await asyncio.to_thread(until, lambda: taken(url) == 0, 5, "the place to be free")


# Shapes --------------------------------------------------------------------------------------


def test_verbose_json_has_the_openai_shape(heard: dict[str, Any]) -> None:
    assert heard["task"] == "transcribe"
    assert heard["language"] == "english"
    assert heard["duration"] == pytest.approx(open_wav(SENTENCE).seconds, abs=0.001)
    (segment,) = heard["segments"]
    assert segment["text"] == heard["text"]
    assert segment["id"] == 0
    assert 0 <= segment["start"] < segment["end"] <= heard["duration"]
    assert -1 < segment["avg_logprob"] <= 0
    assert 0 < segment["compression_ratio"] < 2.4
    assert 0 <= segment["no_speech_prob"] < 0.6


def test_words_have_their_times(heard: dict[str, Any]) -> None:
    assert " ".join(word["word"] for word in heard["words"]) == heard["text"]
    times = [time for word in heard["words"] for time in (word["start"], word["end"])]
    assert times == sorted(times)


def test_words_come_on_request_only(canned: str) -> None:
    assert "words" not in ask(canned).json()


def test_json_is_the_text_alone(canned: str) -> None:
    assert ask(canned, response_format="json").json().keys() == {"text"}


def test_text_is_plain(canned: str) -> None:
    said = ask(canned, response_format="text")
    assert said.headers["Content-Type"].startswith("text/plain")
    assert said.text.startswith("this is a canned answer")


def test_health_tells_the_engine(canned: str) -> None:
    assert httpx.get(f"{canned}/health", trust_env=False).json()["engine"] == "canned"


# Recognition ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["address-rms", "train-slt"])
def test_most_words_of_a_sentence_never_heard_before_come_back(real: str, name: str) -> None:
    said = ask(real, (FIXTURES / f"{name}.wav").read_bytes()).json()["text"]
    script = (FIXTURES / f"{name}.txt").read_text()
    assert jiwer.wer(words(script).strip(), words(said)) <= 0.4


@pytest.mark.parametrize("seconds", [0, 0.01, 3])
def test_silence_is_an_empty_text_without_segments(real: str, seconds: float) -> None:
    said = ask(real, silence(seconds)).json()
    assert (said["text"], said["segments"]) == ("", [])


def test_a_pause_parts_two_utterances(real: str) -> None:
    samples = open_wav(SENTENCE).mono(0, 12_000)
    twice = np.concatenate([samples, np.zeros(16_000, np.int16), samples])
    said = ask(real, ulaw_file([to_ulaw(twice)], 8_000)).json()
    first, second = said["segments"]
    assert all(segment["text"].startswith("please change my") for segment in (first, second))
    assert second["start"] - first["start"] == pytest.approx(3.5, abs=0.2)
    assert first["end"] <= second["start"]


def test_pcm_of_another_rate_and_two_channels_is_heard_as_well(real: str) -> None:
    samples = resample(open_wav(SENTENCE).mono(), 8_000, 44_100)
    said = ask(real, pcm(np.stack([samples, samples], axis=1), 44_100)).json()
    script = SENTENCE.with_suffix(".txt").read_text()
    assert jiwer.wer(words(script).strip(), words(said["text"])) <= 0.4


def pcm(samples: np.ndarray[Any, np.dtype[np.int16]], rate: int) -> bytes:
    channels = samples.shape[1]
    sizes = (rate, rate * channels * 2, channels * 2, 16)
    header = struct.pack("<HHIIHH", 1, channels, *sizes)
    data = samples.astype("<i2").tobytes()
    chunks = b"fmt \x10\0\0\0" + header + b"data" + struct.pack("<I", len(data)) + data
    return b"RIFF" + struct.pack("<I", 4 + len(chunks)) + b"WAVE" + chunks


def test_speech_without_a_pause_is_cut_into_bounded_stretches() -> None:
    sound = open_wav(SENTENCE).mono()
    spoken = sound[np.abs(sound) > 200]
    endless = np.tile(spoken, 320_000 // len(spoken))
    found = list(stretches(read_wav(memoryview(ulaw_file([to_ulaw(endless)], 8_000)))))
    assert len(found) >= 3
    assert max(stretch.end - stretch.start for stretch in found) <= 15.01
    assert found[-1].end == pytest.approx(len(endless) / 8_000, abs=0.5)


# Bad requests --------------------------------------------------------------------------------


def test_what_is_not_audio_is_refused_as_the_callers_fault(canned: str) -> None:
    for garbage in (b"\0", os.urandom(50_000), b"RIFF" * 100, silence(1)[:30], b"<html>" * 99):
        refusal = ask(canned, garbage)
        assert refusal.status_code == 400
        assert refusal.json()["error"]["param"] == "file"


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"language": "de"}, "language"),
        ({"response_format": "srt"}, "response_format"),
        ({"prompt": "x" * 5_000}, "prompt"),
    ],
)
def test_what_we_cannot_do_is_refused_by_its_name(
    canned: str, fields: dict[str, Any], param: str
) -> None:
    refusal = ask(canned, **fields)
    assert refusal.status_code == 400
    assert refusal.json()["error"]["param"] == param


FORM = "multipart/form-data; boundary=x"


@pytest.mark.parametrize(
    ("content_type", "body", "status"),
    [
        ("application/json", b"{}", 415),
        ("multipart/form-data", b"--x--", 415),
        ("", b"", 415),
        (FORM, b"", 400),
        (FORM, b"no boundary", 400),
        (FORM, b"--x\r\nbroken", 400),
        (FORM, b'--x\r\nContent-Disposition: form-data; name="file"\r\n\r\nRIFF', 400),
        (FORM, b'--x\r\nContent-Disposition: form-data; name="model"\r\n\r\nm\r\n--x--', 400),
        (FORM, b"--x\r\nA: " + b"b" * 9_000 + b"\r\n\r\n\r\n--x--", 400),
        (FORM, b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n\r\n' * 99 + b"--x--", 400),
    ],
)
def test_a_broken_form_is_refused_in_json(
    canned: str, content_type: str, body: bytes, status: int
) -> None:
    headers = {"Content-Type": content_type}
    refusal = httpx.post(f"{canned}{PATH}", content=body, headers=headers, trust_env=False)
    assert refusal.status_code == status
    assert refusal.json()["error"]["message"]


def test_two_files_are_one_too_many(canned: str) -> None:
    files = [("file", ("a.wav", silence(1))), ("file", ("b.wav", silence(1)))]
    refusal = httpx.post(f"{canned}{PATH}", files=files, trust_env=False)
    assert refusal.status_code == 400


def test_a_file_over_the_limit_is_413(canned: str) -> None:
    refusal = ask(canned, silence(1) + bytes(1024 * 1024))
    assert refusal.status_code == 413
    assert "1 MiB" in refusal.json()["error"]["message"]


def test_an_upload_that_stands_still_is_given_up() -> None:
    config = SpeechConfig(failure_rate=0, engine="canned", quiet_upload=0.2)

    def drip() -> Iterator[bytes]:
        yield b"--x\r\n"
        until(lambda: taken(url) == 0, 10, "the upload to be given up")

    with service(config) as url:
        headers = {"Content-Type": FORM}
        refusal = httpx.post(f"{url}{PATH}", content=drip(), headers=headers, trust_env=False)
    assert refusal.status_code == 408


def test_other_paths_and_methods_are_refused_in_json(canned: str) -> None:
    nowhere = httpx.get(f"{canned}/v1/models", trust_env=False)
    wrong = httpx.get(f"{canned}{PATH}", trust_env=False)
    assert (nowhere.status_code, wrong.status_code) == (404, 405)
    assert wrong.headers["Allow"] == "POST"
    assert nowhere.json()["error"]["message"]


# Processes -----------------------------------------------------------------------------------


def test_a_recogniser_that_dies_is_started_again() -> None:
    recognising = SpeechService(REAL)
    with served(server(recognising, "127.0.0.1", free_port())) as url:
        before = recognising.recognisers.pids
        for pid in before:
            os.kill(pid, signal.SIGKILL)
        said = ask(url, SENTENCE.read_bytes())
        assert said.status_code == 200
        assert said.json()["text"]
        assert recognising.recognisers.pids != before


def test_a_recognition_that_nobody_waits_for_is_stopped() -> None:
    recognising = SpeechService(REAL)
    with served(server(recognising, "127.0.0.1", free_port())) as url:
        (pid,) = recognising.recognisers.pids
        files = {"file": ("track.wav", long_speech(), "audio/wav")}
        with pytest.raises(httpx.ReadTimeout):
            httpx.post(f"{url}{PATH}", files=files, timeout=1, trust_env=False)
        until(lambda: not psutil.pid_exists(pid), 5, "the recogniser to end")
        assert ask(url).status_code == 200


def long_speech() -> bytes:
    """Two minutes: more than a test waits for."""
    sound = open_wav(SENTENCE).mono()
    return ulaw_file([to_ulaw(np.tile(sound, 24))], 8_000)


Running = tuple[str, subprocess.Popen[bytes]]


@contextmanager
def at_work() -> Iterator[Running]:
    """`manage.py speech` with a long recognition under way."""
    port = free_port()
    surroundings = {"SPEECH_PORT": str(port), "AI_FAILURE_RATE": "0", "AI_LATENCY": "0"}
    process = subprocess.Popen(
        [sys.executable, "manage.py", "speech"],
        cwd=settings.BASE_DIR,
        env=os.environ | surroundings,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    url = f"http://127.0.0.1:{port}"
    try:
        until(lambda: answers(url), 30, "the service to start")
        with waiting(url, long_speech()):
            yield url, process
            process.kill()
    finally:
        process.kill()
        process.communicate()


def answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/health", trust_env=False).is_success
    except httpx.TransportError:
        return False


@pytest.fixture
def command() -> Iterator[Running]:
    with at_work() as running:
        yield running


@pytest.fixture(scope="module")
def lasting() -> Iterator[Running]:
    """One for all tests that let it live."""
    with at_work() as running:
        yield running


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_stops_at_once_with_a_recognition_under_way(
    command: Running, number: signal.Signals
) -> None:
    """The signal reaches the whole group, as Ctrl-C does."""
    _, process = command
    children = psutil.Process(process.pid).children(recursive=True)
    assert children
    os.killpg(process.pid, number)
    _, errors = process.communicate(timeout=4)
    assert b"Traceback" not in errors
    assert not any(child.is_running() for child in children)


def test_its_recognisers_end_with_it_even_by_sigkill(command: Running) -> None:
    _, process = command
    children = psutil.Process(process.pid).children(recursive=True)
    process.kill()
    _, alive = psutil.wait_procs(children, timeout=10)
    assert not alive


def test_ctrl_c_is_left_to_the_service(lasting: Running) -> None:
    """A recogniser that hears of it while it still loads would complain."""
    _, process = lasting
    children = psutil.Process(process.pid).children(recursive=True)
    assert os.getpgid(process.pid) not in {os.getpgid(child.pid) for child in children}


def test_it_answers_while_it_recognises(lasting: Running) -> None:
    url, _ = lasting
    began = time.monotonic()
    assert answers(url)
    assert time.monotonic() - began < 1
