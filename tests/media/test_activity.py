"""Speech activity on levels made by hand and on recorded prompts."""

import numpy as np

from gateway.media.activity import FRAME, HANGOVER_FRAMES, SpeechActivity
from tests.peers.prompts import load

QUIET, LOUD = 65, 25  # -dBov


def segments(levels: list[int]) -> list[tuple[int, int]]:
    activity = SpeechActivity()
    found = activity.feed(bytes(levels), 0)
    activity.pause()
    return [(segment.start // FRAME, segment.end // FRAME) for segment in found]


def test_a_word_is_a_segment_from_its_first_frame_to_its_last() -> None:
    assert segments([QUIET] * 20 + [LOUD] * 15 + [QUIET] * 30) == [(20, 35)]


def test_a_click_is_none() -> None:
    assert segments([QUIET] * 20 + [LOUD] * 3 + [QUIET] * 30) == []


def test_a_closure_inside_a_word_does_not_split_it_and_a_pause_does() -> None:
    word = [LOUD] * 10
    assert segments([QUIET] * 20 + word + [QUIET] * (HANGOVER_FRAMES - 1) + word + [QUIET] * 30) == [
        (20, 40 + HANGOVER_FRAMES - 1)
    ]
    assert len(segments([QUIET] * 20 + word + [QUIET] * HANGOVER_FRAMES + word + [QUIET] * 30)) == 2


def test_steady_noise_is_learnt_and_speech_above_it_is_found() -> None:
    noise = [45] * 300
    assert segments(noise) == []
    assert segments(noise + [LOUD] * 20 + noise) == [(300, 320)]


def test_feeding_in_pieces_gives_the_same() -> None:
    levels = bytes([QUIET] * 20 + [LOUD] * 15 + [QUIET] * 30)
    activity, found = SpeechActivity(), []
    for index in range(0, len(levels), 5):
        found += activity.feed(levels[index : index + 5], index * FRAME)
    assert [(segment.start // FRAME, segment.end // FRAME, segment.open) for segment in found] == [(20, 35, False)]


def test_recorded_prompts_begin_and_end_where_their_speech_does() -> None:
    late, early = [], []
    for prompt in load("en")[::20]:
        samples = np.frombuffer(bytes(8000) + prompt.pcm() + bytes(8000), "<i2").astype(float)
        power = (samples[: len(samples) // FRAME * FRAME].reshape(-1, FRAME) ** 2).mean(1)
        levels = np.clip(np.round(-10 * np.log10(np.maximum(power, 1e-3) / 32768**2)), 0, 127).astype(np.uint8)
        found = SpeechActivity().feed(levels.tobytes(), 0)
        loud = np.flatnonzero(levels < 45)
        late.append(abs(found[0].start // FRAME - loud[0]) * 20)
        early.append(abs(found[-1].end // FRAME - loud[-1] - 1) * 20)
    assert float(np.median(late)) <= 60, late
    assert float(np.median(early)) <= 100, early


def test_no_speech_begins_at_the_threshold_and_some_may_below_it() -> None:
    for noise in (65, 45):
        activity = SpeechActivity()
        activity.feed(bytes([noise] * 300), 0)
        assert activity.threshold == {65: 52, 45: 39}[noise]
        assert activity.feed(bytes([activity.threshold] * 10), 48_000) == []
        assert activity.feed(bytes([activity.threshold - 1] * 10), 49_600) != []
