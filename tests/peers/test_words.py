from __future__ import annotations

import pytest

from tests.peers import prompts, words


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Thank you.", "thank you"),
        ("Don't -- re-record it!", "dont re record it"),
        ("press 1, or 28", "press one or twenty eight"),
        ("8500 or 8,500", "eight thousand five hundred or eight thousand five hundred"),
        ("28.8 kbps", "twenty eight point eight kbps"),
        ("dial 007", "dial zero zero seven"),
        ("* or #", "star or pound"),
        ("  ", ""),
    ],
)
def test_normalise(text, expected):
    assert words.normalise(text) == expected


def test_wer_counts_words_in_the_reference():
    assert words.wer("one two three four", "one too three") == 0.5
    assert words.wer("Press 1 now.", "press one now") == 0.0


def test_prompts_are_those_that_can_be_compared():
    loaded = prompts.load()
    assert len(loaded) > 190
    assert all(len(prompt.text.split()) >= 4 and "[" not in prompt.text for prompt in loaded)
    by_id = {prompt.id: prompt for prompt in loaded}
    assert by_id["cannot-complete-as-dialed"].text == "Your call cannot be completed as dialed."
    assert "ascending-2tone" not in by_id
    assert len(by_id["cannot-complete-as-dialed"].pcm()) > 2 * 8000
