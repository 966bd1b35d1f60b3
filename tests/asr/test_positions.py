"""Which sample of the leg a session's own one was, over gaps and announced silence."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.asr.positions import PositionMap


def test_gaps_of_the_leg_and_announced_silence() -> None:
    positions = PositionMap()
    positions.add(1000, 800)
    positions.add(1800, 800)
    positions.silence(4000)
    positions.add(20_000, 800)
    assert positions.length == 6400
    assert [positions.leg(sample) for sample in (0, 1599, 5600, 6400)] == [1000, 2599, 20_000, 20_800]
    assert positions.leg(3000) == 2600, "in the silence: where the audio before it ended"
    assert positions.leg_end(1600) == 2600
    assert positions.leg_end(5600) == 2600


def test_a_session_without_audio_has_one_position() -> None:
    assert PositionMap().leg(77) == 0


@given(st.lists(st.tuples(st.integers(0, 5000), st.integers(1, 2000)), min_size=1, max_size=20))
def test_every_sample_maps_back(steps: list[tuple[int, int]]) -> None:
    positions, clock, truth = PositionMap(), 0, []
    for gap, samples in steps:
        clock += gap
        positions.add(clock, samples)
        truth += range(clock, clock + samples)
        clock += samples
    assert [positions.leg(sample) for sample in range(len(truth))] == truth
    assert all(positions.leg_end(sample + 1) == truth[sample] + 1 for sample in range(len(truth)))
