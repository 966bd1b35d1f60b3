"""Words that two sessions heard: each comes once."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.asr.engine import Word
from gateway.asr.joining import strip, strip_timed


@pytest.mark.parametrize(
    ("said", "heard", "left"),
    [
        ("a b c d", "c d e f", "e f"),
        ("a b c d", "e f", "e f"),
        ("a b c d", "c", ""),
        ("a b c d", "b c d", ""),
        ("a b c d", "scrap c d e", "e"),
        ("a b c d", "", ""),
        ("", "a b", "a b"),
        ("It was. The", "the spring", "spring"),
        ("no no no", "no no yes", "yes"),
    ],
)
def test_words_that_were_said_go(said: str, heard: str, left: str) -> None:
    assert strip(heard.split(), said.split()) == left.split()


@given(st.integers(0, 8), st.integers(0, 8), st.integers(0, 8))
def test_whatever_the_overlap_no_word_is_lost_or_doubled(before: int, both: int, after: int) -> None:
    words = [f"w{number}" for number in range(before + both + after)]
    said, heard = words[: before + both], words[before:]
    assert said + strip(heard, said) == words


def test_words_with_times_are_told_apart_by_them() -> None:
    words = [Word("no", 0, 2000), Word("no", 2400, 4400), Word("no", 4800, 6800)]
    assert strip_timed(words, 4400, "no") == words[2:]
    assert strip_timed(words, 4200, "no") == words[2:], "the two sessions' times differ a little"
    assert strip_timed(words, 0, "") == words
    assert strip_timed(words, 2500, "no") == words[2:], "the earlier session heard the beginning of the second"
    assert strip_timed(words, 2500, "now") == words[1:], "it is another word: its end had not been said"
