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
    assert buffer.accounted == 4000
    assert drain(buffer) == list(range(4000, 8000, 800))
    assert (buffer.sent, buffer.given_up) == (8000, 0)


def test_a_piece_that_is_settled_only_in_part_is_replayed_whole() -> None:
    buffer = ReplayBuffer(80_000)
    buffer.append(piece(0))
    drain(buffer)
    buffer.settle(799)
    assert buffer.rewind() == 0


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
