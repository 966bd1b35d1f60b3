"""Words as tones: whatever arrives whole is read back, and nothing else."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.asr.fake.pcm import decode
from gateway.asr.fake.words import PAIRS, WordReader, code_of, read, say, text_of
from gateway.media import g711
from tests.peers.speech import asset, pcm


def heard(audio: bytes, codec: str = "alaw") -> list[str]:
    return [word.text for word in WordReader().feed(read(decode(codec, audio)))]


@pytest.mark.parametrize("codec", ["alaw", "mulaw", "linear16"])
def test_every_word_is_read_as_itself(codec: str) -> None:
    codes = list(range(len(PAIRS)))
    assert heard(say(codes, codec), codec) == [text_of(code) for code in codes]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(0, len(PAIRS) - 1), min_size=1, max_size=8, unique=True),
    st.integers(0, 159),
    st.sampled_from([0, 60, 100]),
)
def test_words_are_read_wherever_the_frames_fall(codes: list[int], shift: int, gap_ms: int) -> None:
    audio = b"\xd5" * shift + say(codes, gap_ms=gap_ms)
    assert heard(audio) == [text_of(code) for code in codes]


def test_the_same_word_twice_is_two_words() -> None:
    assert heard(say([5, 5, 6])) == ["w5", "w5", "w6"]


def test_times_are_those_of_the_tones() -> None:
    words = WordReader().feed(read(decode("alaw", say([None, 3, 4]))))
    assert [(word.start, word.end) for word in words] == [(9600, 9600 + 1920), (12000, 12000 + 1920)]


def test_a_lost_packet_inside_a_word_neither_loses_nor_doubles_it() -> None:
    audio = bytearray(say([7, 8]))
    audio[800:960] = b"\xd5" * 160
    assert heard(bytes(audio)) == ["w7", "w8"]


def test_half_a_word_missing_is_still_one_word_and_a_scrap_is_none() -> None:
    audio = say([7])
    assert heard(audio[:960]) == ["w7"]
    assert heard(audio[:480]) == []


def test_speech_and_noise_hold_no_words() -> None:
    speech = g711.from_linear16("alaw", pcm(asset("two_cities.wav")))
    assert heard(speech) == []
    noise = np.random.default_rng(1).normal(0, 3000, 80_000).astype("<i2").tobytes()
    assert heard(noise, "linear16") == []


def test_a_word_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match=f"w0 to w{len(PAIRS) - 1}"):
        code_of(f"w{len(PAIRS)}")
