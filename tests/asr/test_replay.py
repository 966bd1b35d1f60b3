"""The replay buffer: what a session gets, gets again, and what is counted as given up."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.asr.replay import Piece, ReplayBuffer


def piece(first: int, samples: int = 800) -> Piece:
    return Piece(first, bytes([first // 800 % 256]) * samples, first)


def drain(buffer: ReplayBuffer) -> list[int]:
    taken = []
    while (got := buffer.take()) is not None:
        taken.append(got.first)
    return taken


def test_what_is_settled_is_not_replayed() -> None:
    buffer = ReplayBuffer(80_000)
    for first in range(0, 8000, 800):
        buffer.append(piece(first))
    assert drain(buffer) == list(range(0, 8000, 800))
    buffer.settle(4000)
    assert buffer.rewind() == 4000
    assert drain(buffer) == list(range(4000, 8000, 800))
    assert (buffer.sent, buffer.given_up) == (8000, 0)


def test_a_piece_that_is_settled_in_part_is_replayed_from_there() -> None:
    buffer = ReplayBuffer(80_000)
    buffer.append(piece(0))
    drain(buffer)
    buffer.settle(500)
    assert buffer.rewind() == 500
    again = buffer.take()
    assert again is not None
    assert (again.first, len(again.payload)) == (500, 300)
    assert buffer.sent == 800


def test_what_a_lost_session_had_and_cannot_be_sent_again_is_named() -> None:
    buffer = ReplayBuffer(1600)
    for first in range(0, 3200, 800):
        buffer.append(piece(first))
        buffer.take()
    assert buffer.lost() == [], "the session that has it is still there"
    buffer.settle(400)
    buffer.rewind()
    assert buffer.lost() == [(400, 1600)]
    assert buffer.given_up == 1200


def test_pieces_are_joined_up_to_a_length_where_they_follow_each_other() -> None:
    buffer = ReplayBuffer(80_000)
    for first in (0, 800, 1600, 4000):
        buffer.append(piece(first))
    taken = [buffer.take(2000) for _ in range(3)]
    assert [(one.first, len(one.payload)) for one in taken if one] == [(0, 1600), (1600, 800), (4000, 800)]


def test_audio_without_speech_is_skimmed_without_being_missed() -> None:
    buffer = ReplayBuffer(80_000)
    for first in range(0, 4000, 800):
        buffer.append(piece(first))
    buffer.skim(1600)
    assert (buffer.backlog, buffer.given_up) == (1600, 0)
    buffer.give_up(0)
    assert (buffer.lost(), buffer.given_up) == ([(2400, 4000)], 1600)


def test_of_a_long_piece_without_speech_the_end_stays() -> None:
    buffer = ReplayBuffer(80_000)
    buffer.append(piece(0, 7200))
    buffer.append(piece(7200, 800))
    buffer.skim(2400)
    assert (buffer.held, buffer.backlog, buffer.skipped, buffer.given_up) == (2400, 2400, 5600, 0)
    assert [(one.first, len(one.payload)) for one in (buffer.take(), buffer.take()) if one] == [
        (5600, 1600),
        (7200, 800),
    ]
    assert (buffer.sent, buffer.skipped, buffer.missed) == (2400, 5600, 0)


def test_the_oldest_goes_when_it_is_full_and_is_counted() -> None:
    buffer = ReplayBuffer(1600)
    for first in range(0, 4000, 800):
        buffer.append(piece(first))
    assert buffer.given_up == 2400
    assert drain(buffer) == [2400, 3200]
    assert buffer.sent == 1600


def test_audio_that_a_lost_session_had_is_given_up_too_when_it_cannot_be_replayed() -> None:
    buffer = ReplayBuffer(1600)
    for first in (0, 800):
        buffer.append(piece(first))
    drain(buffer)
    buffer.rewind()
    buffer.append(piece(1600))
    assert buffer.given_up == 800
    assert drain(buffer) == [800, 1600]
    assert buffer.sent == 2400, "each sample counts once, however often it was sent"


@given(st.lists(st.sampled_from(["append", "take", "settle", "rewind"]), max_size=80), st.integers(1, 10))
def test_every_sample_is_sent_held_or_given_up(steps: list[str], capacity: int) -> None:
    buffer, clock, seen = ReplayBuffer(capacity * 800), 0, set()
    for step in steps:
        if step == "append":
            buffer.append(piece(clock))
            clock += 800
        elif step == "take" and (got := buffer.take()) is not None:
            seen.add(got.first)
        elif step == "settle":
            buffer.settle(max(seen, default=-800) + 800)
        elif step == "rewind":
            buffer.rewind()
        assert buffer.held <= capacity * 800
        assert buffer.sent == len(seen) * 800
    drained = set(drain(buffer))
    assert len(seen | drained) * 800 + buffer.given_up >= clock, "nothing vanishes uncounted"
    assert buffer.sent == len(seen | drained) * 800
