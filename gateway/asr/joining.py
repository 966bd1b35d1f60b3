"""Where two sessions heard the same audio: takes out of the later one's words those that the earlier one said. Pure.

An overlap is needed where a session must end in the middle of speech: the earlier session hears the audio up to the
cut, the later one from a little before it, so that each word is whole in at least one of them.
"""

from __future__ import annotations

from collections.abc import Sequence

from gateway.asr.engine import Word

# Words that are compared: more than anybody says in an overlap of a few seconds.
LONGEST = 16
# How far the times of two sessions for the same word may lie apart (samples; 60 ms).
TOLERANCE = 480


def strip(words: Sequence[str], said: Sequence[str]) -> list[str]:
    """Returns the later session's words without those that were said before.

    The first word may be the end of one that was cut, and heard wrongly: where the rest fits without it, it goes.

    Args:
        words: All of the later session's words so far.
        said: The last words of the earlier session.
    """
    said = [_plain(word) for word in said[-LONGEST:]]
    plain = [_plain(word) for word in words[: LONGEST + 1]]
    for skip in (0, 1):
        for length in range(min(len(said), len(plain) - skip), 0 if skip == 0 else 1, -1):
            if plain[skip : skip + length] == said[-length:]:
                return list(words[skip + length :])
    if plain and len(words) <= LONGEST and any(said[at : at + len(plain)] == plain for at in range(len(said))):
        return []  # it has not come to the end of the overlap yet
    return list(words)


def strip_timed(words: Sequence[Word], until: int, last: str) -> list[Word]:
    """Returns the words that were not said before, by their times.

    Args:
        words: With times on the same clock as ``until``.
        until: One past the last sample of the earlier session's last word.
        last: That word; where the cut fell into it, it is shorter than the later session's.
    """
    last = _plain(last)
    return [word for word in words if not _said(word, until, last)]


def _said(word: Word, until: int, last: str) -> bool:
    if word.start >= until:
        return False
    return (word.start + word.end) // 2 < until - TOLERANCE or word.end <= until or _plain(word.text) == last


def _plain(word: str) -> str:
    return word.casefold().strip(".,!?;:…—-\"'()«»")
