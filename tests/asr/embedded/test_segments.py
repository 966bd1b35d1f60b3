from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from gateway.asr.embedded.segments import END_SILENCE, FRAME_MS, MAX_FRAMES, PRE_ROLL, Segmenter

SPEECH, UNSURE, SILENCE = 0.9, 0.4, 0.1


def frame(index):
    return index.to_bytes(4, "big")


def run(probabilities):
    segmenter = Segmenter()
    closed = []
    for index, probability in enumerate(probabilities):
        if audio := segmenter.push(frame(index), probability):
            closed.append((index, numbers(audio)))
    if audio := segmenter.flush():
        closed.append((len(probabilities), numbers(audio)))
    assert segmenter.flush() is None
    return closed


def numbers(audio):
    return [int.from_bytes(audio[first : first + 4], "big") for first in range(0, len(audio), 4)]


def test_the_lengths_in_frames():
    assert FRAME_MS * PRE_ROLL >= 150
    assert FRAME_MS * END_SILENCE >= 500
    assert FRAME_MS * (MAX_FRAMES - 1) < 14_000 <= FRAME_MS * MAX_FRAMES


def test_silence_gives_nothing():
    assert run([SILENCE] * 100 + [UNSURE] * 100) == []


def test_speech_with_pre_roll_ends_after_the_silence():
    closed = run([SILENCE] * 20 + [SPEECH] * 10 + [SILENCE] * 40)
    assert closed == [(29 + END_SILENCE, list(range(20 - PRE_ROLL, 30 + END_SILENCE)))]


def test_the_thresholds_are_inclusive_at_the_start_and_exclusive_at_the_end():
    assert run([0.499] * 50) == []
    assert len(run([0.5])) == 1
    assert run([SPEECH] + [0.35] * 60) == [(61, list(range(61)))]
    assert run([SPEECH] + [0.349] * 60)[0][0] == END_SILENCE


def test_a_short_pause_does_not_end_a_segment():
    probabilities = [SPEECH] * 5 + [SILENCE] * (END_SILENCE - 1) + [SPEECH] * 5
    assert run(probabilities) == [(len(probabilities), list(range(len(probabilities))))]


def test_the_pre_roll_of_the_next_segment_is_the_end_of_the_silence():
    closed = run([SPEECH] * 5 + [SILENCE] * END_SILENCE + [SPEECH])
    assert closed[1][1] == list(range(5 + END_SILENCE - PRE_ROLL, 6 + END_SILENCE))


def test_the_end_of_the_stream_ends_the_open_segment():
    assert run([SPEECH] * 3) == [(3, [0, 1, 2])]


def test_a_long_segment_is_cut_at_its_last_quietest_frame():
    quiet = MAX_FRAMES - 30
    probabilities = [SPEECH] * (MAX_FRAMES + 10)
    probabilities[quiet - 5] = probabilities[quiet] = UNSURE
    closed = run(probabilities)
    assert closed[0] == (MAX_FRAMES - 1, list(range(quiet + 1)))
    assert closed[1][1] == list(range(quiet + 1, MAX_FRAMES + 10))


def test_open_audio_is_what_came_so_far():
    segmenter = Segmenter()
    assert (segmenter.open_frames, segmenter.open_audio()) == (0, b"")
    for index in range(4):
        segmenter.push(frame(index), SPEECH)
    assert (segmenter.open_frames, numbers(segmenter.open_audio())) == (4, [0, 1, 2, 3])


@given(st.lists(st.tuples(st.sampled_from([0.05, 0.34, 0.36, 0.6, 0.95]), st.integers(1, 200)), max_size=15))
def test_every_frame_of_speech_is_in_a_segment_and_segments_are_short_and_in_order(runs):
    probabilities = [probability for probability, length in runs for _ in range(length)]
    closed = [indices for _, indices in run(probabilities)]
    covered = {index for indices in closed for index in indices}
    assert {index for index, probability in enumerate(probabilities) if probability >= 0.5} <= covered
    for indices in closed:
        assert indices == list(range(indices[0], indices[-1] + 1))
        assert len(indices) <= MAX_FRAMES
    for before, after in itertools.pairwise(closed):
        assert after[0] > before[-1] - PRE_ROLL
        assert after[-1] > before[-1]
