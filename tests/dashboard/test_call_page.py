"""The page of a call as it is first painted, and what can be done on it."""

import time

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils.html import escape
from pytest_django import DjangoAssertNumQueries

from calls.ai.jobs import reprocess
from calls.ai.transcription import Segment
from calls.ingest import ending, metadata
from calls.models import AiService, Audit, Call, Job, Move
from calls.states import EndReason
from dashboard import call_page
from dashboard.rights import Rights
from dashboard.screens import CallScreen
from tests.dashboard.outcomes import (
    OVERLOADED,
    REFUSED,
    ask,
    begin_run,
    conclude,
    finish_run,
    said,
    transcribed_call,
)
from tests.dashboard.people import signed_in, user_with
from tests.factories import NOW, call_in_progress, ended_call, fresh_id, hang_up, send

pytestmark = pytest.mark.django_db

EVERYTHING = Rights(reprocess=True, archive=True)


@pytest.fixture
def client() -> Client:
    return signed_in("view_call", "reprocess_call", "archive_call")


def page(client: Client, call: Call) -> str:
    answer = client.get(f"/calls/{call.call_id}/")
    assert answer.status_code == 200
    return answer.content.decode()


def section(name: str, call: Call, rights: Rights = EVERYTHING) -> str:
    return call_page.sections(call.call_id, rights, since=time.monotonic())[name]


def after(client: Client, action: str, call: Call) -> str:
    """What the page says when the action has been asked for."""
    return client.post(f"/calls/{call.call_id}/{action}", follow=True).content.decode()


@pytest.mark.parametrize(
    ("came_from", "back"),
    [
        ("http://testserver/?agent=Tom&q=a%22b", '<a href="/?agent=Tom&amp;q=a%22b">Calls</a>'),
        ("http://testserver/alerts/?kind=failed", '<a href="/alerts/?kind=failed">Alerts</a>'),
        ("http://testserver/audit/", '<a href="/">Calls</a>'),
        ("http://elsewhere/?agent=Tom", '<a href="/">Calls</a>'),
        ("http://[testserver/", '<a href="/">Calls</a>'),
        ("", '<a href="/">Calls</a>'),
    ],
)
def test_the_way_back_leads_to_the_list_as_it_was(
    client: Client, came_from: str, back: str
) -> None:
    call = ended_call()
    answer = client.get(f"/calls/{call.call_id}/", headers={"referer": came_from})
    assert back in answer.content.decode()


def test_an_unknown_call_is_not_found_in_words(client: Client) -> None:
    answer = client.get("/calls/nobody-called/")
    assert answer.status_code == 404
    assert "There is no call with the id nobody-called." in answer.content.decode()
    assert "dashboard/style.css" in answer.content.decode()


def test_an_unknown_address_is_not_found_in_words() -> None:
    answer = Client().get("/no/such/page")
    assert answer.status_code == 404
    assert "There is nothing at this address." in answer.content.decode()


@pytest.mark.parametrize("path", ["/calls/any/", "/calls/any/reprocess", "/calls/any/archive"])
def test_nobody_is_sent_to_the_login(path: str) -> None:
    answer = Client().get(path) if path.endswith("/") else Client().post(path)
    assert answer.status_code == 302
    assert answer["Location"].startswith("/login/?next=")


def test_without_the_permission_the_page_says_so() -> None:
    assert signed_in().get(f"/calls/{call_in_progress().call_id}/").status_code == 403


def test_a_call_id_may_hold_all_that_is_allowed(client: Client) -> None:
    send("+49.30_9018:20@pbx-1", 0)
    assert "+49.30_9018:20@pbx-1" in page(client, Call.objects.get())


def test_the_transcript_says_who_spoke_when_and_how() -> None:
    call = call_in_progress(packets=1)
    send(call.call_id, 1, track="outbound")
    claim = begin_run(hang_up(call, now=NOW))
    ask(claim, "inbound", said("hello", "this is terrible"))
    ask(claim, "outbound", said("how can I help"))
    shown = section("transcript", conclude(claim))
    assert shown.index("hello") < shown.index("how can I help") < shown.index("this is terrible")
    for words in ('data-track="inbound"', "Caller", "Agent", ">0:06<", "Negative"):
        assert words in shown


def test_a_call_in_progress_says_when_the_transcript_comes() -> None:
    assert "once the call has ended" in section("transcript", call_in_progress())


def test_a_silent_call_says_that_nobody_spoke() -> None:
    assert "Nobody is heard to speak." in section("transcript", finish_run(ended_call(), []))


def test_an_old_result_says_that_a_new_run_is_under_way() -> None:
    call = transcribed_call("thank you")
    reprocess(call.call_id, now=NOW, actor="test")
    shown = section("transcript", call)
    assert "this is the result of the last one" in shown
    assert "thank you" in shown


def test_words_from_outside_are_escaped(client: Client) -> None:
    nasty = "<img src=x onerror=alert(1)>"
    call = transcribed_call(nasty)
    metadata.describe(call.call_id, {"agent": nasty, "metadata": {nasty: nasty}}, now=NOW)
    shown = page(client, call)
    assert nasty not in shown
    assert shown.count(escape(nasty)) == 4


def test_what_the_pbx_said_is_shown() -> None:
    call = call_in_progress()
    known = {"agent": "Priya", "callee": "+44 20 7946 0100", "metadata": {"skill": [1, "é"]}}
    metadata.describe(call.call_id, known, now=NOW)
    shown = section("facts", call)
    for words in ("Priya", "+44 20 7946 0100", "skill", escape('[1, "é"]'), "G.711 µ-law"):
        assert words in shown


def test_missing_packets_are_named() -> None:
    call = call_in_progress(packets=2)
    send(call.call_id, 5, 5, 7)
    shown = section("packets", call)
    assert "sequence 2–4, 6" in shown  # noqa: RUF001
    assert ">4<" in shown


def test_of_many_gaps_the_first_are_named() -> None:
    call = call_in_progress(packets=1)
    send(call.call_id, *range(2, 100, 2))
    shown = section("packets", call)
    assert "39 and more" in shown
    assert ", 41" not in shown


def test_the_history_says_who_and_why() -> None:
    shown = section("history", finish_run(ended_call(), REFUSED))
    assert "In progress → Completed" in shown
    assert "Processing AI → Failed" in shown
    assert "hangup" in shown
    assert "run 1: the AI service refused the audio" in shown


def test_the_attempts_are_shown_with_their_next_try() -> None:
    call = ended_call()
    claim = begin_run(call)
    ask(claim, "inbound", OVERLOADED)
    shown = section("attempts", call)
    for words in ("Run 1: End of the call", ">503<", "Transient failure", "1.5 s", "12:00:05"):
        assert words in shown
    assert 'data-clock="until"' in shown


def test_a_try_that_has_been_made_is_not_counted_down_to() -> None:
    shown = section("attempts", finish_run(ended_call(), OVERLOADED, said("yes")))
    assert 'data-clock="until"' not in shown


def test_a_call_without_a_packet_says_that_nobody_was_asked() -> None:
    call = metadata.describe(fresh_id(), {}, now=NOW)
    hang_up(call, now=NOW)
    assert "The AI service was not asked." in section("attempts", call)
    assert "ended before its first packet" in section("transcript", call)


def test_what_a_pbx_noted_stands_there_in_words() -> None:
    call = call_in_progress()
    gap = {"track": "inbound", "from": "2026-02-03T12:00:01.500Z", "to": "2026-02-03T12:00:04Z"}
    noted = {
        "dtmf": [{"track": "inbound", "digit": digit, "at": "now"} for digit in "5#"],
        "gaps": [gap | {"why": "the connection was lost"}] * 40,
    }
    metadata.describe(call.call_id, {"metadata": noted}, now=NOW)
    said = section("facts", call)
    assert "5#" in said
    assert said.count("inbound 12:00:01, 2.50 s, the connection was lost") == 5
    assert "and 35 more" in said


@pytest.mark.parametrize(
    "strange", ["5#", [7], {"digit": 1}, [{"digit": 1}], None, [{"from": "a", "to": "b"}]]
)
def test_metadata_of_the_same_name_harms_no_page(strange: object) -> None:
    call = call_in_progress()
    metadata.describe(call.call_id, {"metadata": {"dtmf": strange, "gaps": strange}}, now=NOW)
    assert section("facts", call)


def test_late_packets_outside_the_transcript_are_told() -> None:
    call = transcribed_call()
    assert "Late packets" not in section("actions", call)
    send(call.call_id, 9)
    assert "Reprocess the call to include them" in section("actions", call)


def test_late_packets_after_idleness_are_taken_up_without_anybody() -> None:
    call = call_in_progress()
    words = "no packet for 30 s"
    ending.end(call.call_id, reason=EndReason.IDLE_TIMEOUT, words=words, now=NOW, actor="system")
    finish_run(call, said("yes"))
    send(call.call_id, 9)
    assert "begins by itself" in section("actions", call)


def test_a_supervisor_can_run_the_ai_work_again() -> None:
    user = user_with("view_call", "reprocess_call")
    client, call = Client(), transcribed_call()
    client.force_login(user)
    assert "A new AI run is queued." in after(client, "reprocess", call)
    job = Job.objects.get(call=call, run=2)
    assert (job.origin, job.actor) == ("reprocess", f"user {user.username}")


def test_a_supervisor_can_archive() -> None:
    user = user_with("view_call", "archive_call")
    client, call = Client(), transcribed_call()
    client.force_login(user)
    assert "The call is archived." in after(client, "archive", call)
    assert Move.objects.get(to_state="ARCHIVED").actor == f"user {user.username}"


def test_a_refusal_is_told_in_words(client: Client) -> None:
    call = call_in_progress()
    said = after(client, "reprocess", call)
    assert f"Call {call.call_id} cannot be run again: it has not ended yet." in said
    assert f"Call {call.call_id} cannot be archived: it has not ended yet." in after(
        client, "archive", call
    )
    assert "still waits for its AI outcome" in after(client, "archive", ended_call())


def test_an_action_on_an_unknown_call_is_not_found(client: Client) -> None:
    assert client.post("/calls/nobody-called/archive").status_code == 404


@pytest.mark.parametrize("action", ["reprocess", "archive"])
def test_who_may_only_look_has_no_buttons_and_is_refused(action: str) -> None:
    client, call = signed_in("view_call"), transcribed_call()
    assert f'form="{action}"' not in page(client, call)
    assert client.post(f"/calls/{call.call_id}/{action}").status_code == 403
    assert Job.objects.filter(call=call).count() == 1


@pytest.mark.parametrize("action", ["reprocess", "archive"])
def test_an_action_needs_the_token_of_the_page(action: str) -> None:
    client, call = Client(enforce_csrf_checks=True), transcribed_call()
    client.force_login(User.objects.create_superuser("root"))
    path = f"/calls/{call.call_id}/{action}"
    refused = client.post(path)
    assert refused.status_code == 403
    assert "out of date" in refused.content.decode()
    token = client.get(f"/calls/{call.call_id}/").context["csrf_token"]
    assert client.post(path, {"csrfmiddlewaretoken": str(token)}).status_code == 302


@pytest.mark.parametrize("action", ["reprocess", "archive"])
def test_an_action_is_not_a_link(client: Client, action: str) -> None:
    assert client.get(f"/calls/{transcribed_call().call_id}/{action}").status_code == 405


def test_buttons_that_would_be_refused_are_switched_off() -> None:
    assert section("actions", call_in_progress()).count("disabled") == 2
    assert section("actions", ended_call()).count("disabled") == 1
    assert section("actions", transcribed_call()).count("disabled") == 0


def test_the_page_is_concerned_by_its_own_call_alone() -> None:
    screen = CallScreen("mine", EVERYTHING)
    assert screen.concerned_by({"other", "mine"})
    assert not screen.concerned_by({"other"})


def test_a_long_story_costs_no_more_queries_than_a_short_one(
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    long = finish_run(ended_call(), OVERLOADED, OVERLOADED, said(*["yes"] * 30))
    reprocess(long.call_id, now=NOW, actor="test")
    finish_run(long, OVERLOADED, said("yes", "no"))
    with django_assert_num_queries(5):
        section("history", long)


def test_a_call_that_waits_for_a_service_that_is_away_says_so() -> None:
    call = ended_call()
    AiService.objects.create(pk=1, opened_at=NOW, confirmed_at=NOW, words="refuses our key (401)")
    assert "refuses our key (401)" in section("summary", call)
    assert "refuses our key (401)" not in section("summary", call_in_progress())


def test_a_call_in_progress_cannot_be_played_yet() -> None:
    shown = section("player", call_in_progress())
    assert "can be played once the call has ended" in shown
    assert "<audio" not in shown
    # Packets are no news to it, for it would be told of each.
    assert section("player", call_in_progress(packets=9)) == shown


def test_an_ended_call_can_be_played_without_script() -> None:
    call = ended_call()
    source = f'src="/calls/{call.call_id}/recording"'
    assert f'<audio controls preload="none" {source}>' in section("player", call)
    # Where it stands is what the script that brings news relies on.
    assert section("player", call).index("</h2>") < section("player", call).index("data-keep")


def test_a_call_that_holds_no_audio_says_so_instead_of_a_player() -> None:
    call_id = fresh_id()
    send(call_id, 0, data="no audio!")
    call = hang_up(Call.objects.get(call_id=call_id), now=NOW)
    conclude(begin_run(call))
    assert "No packet of the call holds audio" in section("player", call)
    empty = hang_up(metadata.describe(fresh_id(), {}, now=NOW), now=NOW)
    assert "Not one packet of the call came." in section("player", empty)


def test_an_utterance_leads_to_its_second_in_the_recording() -> None:
    call = transcribed_call("hello", "goodbye")
    shown = section("transcript", call)
    assert f'href="/calls/{call.call_id}/recording#t=6.000"' in shown
    assert 'data-start="6.000" data-end="8.000"' in shown


@pytest.mark.parametrize(("confidence", "doubtful"), [(0.36, 1), (0.37, 0), (None, 0)])
def test_what_the_ai_service_was_unsure_of_is_marked(
    confidence: float | None, doubtful: int
) -> None:
    call = finish_run(ended_call(), [Segment(0.0, 1.0, "hello", confidence)])
    assert section("transcript", call).count("low confidence") == doubtful


def test_the_strip_of_packets_is_told_in_words_too() -> None:
    call = ended_call(packets=3)
    send(call.call_id, 5)
    shown = section("packets", call)
    assert "Sequence 0 to 5: 4 received, 2 missing, 1 late, 0 duplicates." in shown
    assert '<rect data-kind="received" x="0" width="3"' in shown
    assert '<rect data-kind="missing" x="3" width="2"' in shown
    assert '<rect data-kind="late" x="5" width="1"' in shown


def test_no_section_styles_itself(client: Client) -> None:
    call = transcribed_call("this is terrible", "thank you")
    assert " style=" not in page(client, call)


def test_the_recording_is_played_beside_the_page(client: Client) -> None:
    call = ended_call()
    answer = client.get(f"/calls/{call.call_id}/recording", headers={"range": "bytes=0-3"})
    assert (answer.status_code, answer.content) == (206, b"RIFF")
    assert answer["Content-Disposition"] == f'inline; filename="{call.call_id}.wav"'


@pytest.mark.parametrize(
    ("form", "ending"), [("json", "json"), ("text", "txt"), ("vtt", "vtt"), ("srt", "srt")]
)
def test_the_transcript_is_taken_along(client: Client, form: str, ending: str) -> None:
    call = transcribed_call("thank you")
    answer = client.get(f"/calls/{call.call_id}/transcript?format={form}")
    assert "thank you" in answer.content.decode()
    assert answer["Content-Disposition"] == f'attachment; filename="{call.call_id}.{ending}"'
    assert f"/transcript?format={form}" in section("transcript", call)


def test_a_file_has_a_name_that_any_system_takes(client: Client) -> None:
    send("+49.30:20@pbx-1", 0)
    name = client.get("/calls/+49.30:20@pbx-1/recording")["Content-Disposition"]
    assert name == 'inline; filename="_49.30_20_pbx-1.wav"'


def test_the_waveform_tells_length_and_loudness(client: Client) -> None:
    call = ended_call()
    shown = client.get(f"/calls/{call.call_id}/waveform").json()
    assert shown["seconds"] == pytest.approx(0.06)
    assert set(shown["peaks"]["inbound"]) == {0}


def test_what_is_not_there_is_told_in_words(client: Client) -> None:
    call_id = fresh_id()
    send(call_id, 0, data="no audio!")
    for path, words in [
        (f"{call_id}/recording", "none of its packets holds audio."),
        (f"{call_id}/waveform", "none of its packets holds audio."),
        (f"{call_id}/transcript", "has no transcript: it is in progress."),
        (f"{call_id}/transcript?format=pdf", "formats json, text, vtt, srt."),
        ("nobody-called/recording", "There is no call with the id nobody-called."),
        ("nobody-called/waveform", "There is no call with the id nobody-called."),
    ]:
        answer = client.get(f"/calls/{path}")
        assert answer.status_code == 404, path
        assert words in answer.content.decode(), path


@pytest.mark.parametrize("path", ["recording", "waveform", "transcript"])
def test_who_may_not_see_a_call_may_not_hear_or_read_it(path: str) -> None:
    call = transcribed_call()
    assert signed_in().get(f"/calls/{call.call_id}/{path}").status_code == 403
    assert Client().get(f"/calls/{call.call_id}/{path}").status_code == 302


@pytest.mark.parametrize("call_id", ["%00", "a%00b", "%ED%A0%80", "x" * 5000, "a%0Ab", "%2E"])
def test_what_is_no_call_id_is_not_found(client: Client, call_id: str) -> None:
    assert client.get(f"/calls/{call_id}/").status_code == 404


def test_who_played_and_took_along_is_recorded_and_who_only_looked_is_not(client: Client) -> None:
    call = transcribed_call()
    client.get(f"/calls/{call.call_id}/waveform")
    assert not Audit.objects.exists()
    for _ in range(3):
        client.get(f"/calls/{call.call_id}/recording", headers={"range": "bytes=0-9"})
    client.get(f"/calls/{call.call_id}/transcript?format=srt")
    client.get("/calls/nobody-called/recording")
    rows = Audit.objects.order_by("pk").values_list("verb", "call_id", "detail")
    assert [*rows] == [
        ("played", call.call_id, "recording"),
        ("exported", call.call_id, "transcript srt"),
    ]
