"""Demo calls put into a system at one go, as if they had been spoken and transcribed long ago."""

from callcenter.simulator.packets import packetise
from callcenter.simulator.recordings import Recording
from calls.ai.sentiment import judge, overall
from tests.browser.system import System

BEGAN = 1_706_745_600.0


def send_recording(
    system: System, call_id: str, played: Recording, *, without: range = range(0)
) -> None:
    """Its packets, but for some, with what the PBX knows of it."""
    packets = [
        packet.to_json(BEGAN) | {"call_id": call_id}
        for packet in packetise(played.tracks)
        if packet.sequence not in without
    ]
    for begin in range(0, len(packets), 500):
        system.send("POST", "/packets", packets=packets[begin : begin + 500])
    system.send("PUT", f"/call/{call_id}", agent=played.agent, queue=played.queue)


def transcribe(system: System, call_id: str, played: Recording) -> None:
    """What the worker would store, were every word understood; of the second utterance the AI
    service is not sure.
    """
    [[call]] = system.query(
        "UPDATE calls_call SET has_ai_result = true, ai_outcome = 'transcribed',"
        " processed_at = now(), next_attempt_at = null, version = version + 1"
        " WHERE call_id = %s RETURNING id",
        call_id,
    )
    system.query(
        "UPDATE calls_job SET finished_at = now(), outcome = 'transcribed' WHERE call_id = %s", call
    )
    verdict = overall((one.text, judge(one.text).score) for one in played.script)
    system.query(
        "INSERT INTO calls_result (call_id, run, transcript, sentiment, score, created_at)"
        " VALUES (%s, 1, %s, %s, %s, now())",
        call,
        "\n".join(one.text for one in played.script),
        verdict.sentiment,
        verdict.score,
    )
    for place, one in enumerate(played.script):
        felt = judge(one.text)
        system.query(
            "INSERT INTO calls_utterance"
            " (result_id, track, start, \"end\", text, sentiment, score, confidence)"
            " VALUES (%s, %s, %s, %s, %s, %s, %s, %s)",
            call, one.track, one.start, one.end, one.text, felt.sentiment, felt.score,
            0.2 if place == 1 else 0.9,
        )  # fmt: skip
