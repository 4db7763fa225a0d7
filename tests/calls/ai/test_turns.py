"""Calls just ended go first, but nobody waits for ever."""

from calls.ai.turns import Turns
from calls.models.job import Priority


def places(turns: Turns, rounds: int, *, room: int, others: int = 10**6) -> list[int]:
    """What is taken in so many rounds while both kinds wait."""
    taken: list[int] = []
    for _ in range(rounds):
        kept = min(turns.kept_for_others(room), room, others)
        some = [Priority.AGAIN] * kept + [Priority.FRESH] * (room - kept)
        turns.note(some)
        taken += some
    return taken


def test_every_eighth_place_is_for_those_run_again() -> None:
    for room in (1, 3, 8, 100):
        taken = places(Turns(), 800 // room, room=room)
        assert abs(taken.count(Priority.AGAIN) - len(taken) / 8) <= 2


def test_a_single_free_place_goes_to_a_call_just_ended_first() -> None:
    assert places(Turns(), 7, room=1) == [Priority.FRESH] * 7


def test_places_kept_for_nobody_are_not_owed_later() -> None:
    turns = Turns()
    places(turns, 1000, room=1, others=0)
    assert places(turns, 9, room=1).count(Priority.AGAIN) <= 2
