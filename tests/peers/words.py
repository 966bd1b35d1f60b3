"""Comparing what was recognised with what was said: word error rate over normalised text."""

from __future__ import annotations

import re

import jiwer

ONES = [
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"),
    *("thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"),
]
TENS = ["", "", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]


def spell(number: int) -> str:
    """Spells out a number from 0 to 999,999,999, as "one hundred five"."""
    if number < 20:
        return ONES[number]
    if number < 100:
        return f"{TENS[number // 10]} {spell(number % 10) if number % 10 else ''}".strip()
    for size, name in ((1_000_000, "million"), (1000, "thousand"), (100, "hundred")):
        if number >= size:
            return f"{spell(number // size)} {name} {spell(number % size) if number % size else ''}".strip()
    raise AssertionError("unreachable")


def normalise(text: str) -> str:
    """Lower-cases, strips punctuation, spells out numbers and the keys * and #, and joins words by single spaces.

    Apostrophes go without leaving a gap ("don't" is "dont"); all other punctuation separates words.
    """
    text = text.lower().replace("’", "'").replace("'", "")
    text = text.replace("*", " star ").replace("#", " pound ")
    text = re.sub(r"(?<=\d),(?=\d{3}\b)", "", text)
    text = re.sub(r"(?<=\d)\.(?=\d)", " point ", text)
    # Longer strings of digits, and those that begin with 0, are read digit by digit.
    text = re.sub(r"\d+", lambda match: f" {_digits(match[0])} ", text)
    return " ".join(re.sub(r"[\W_]+", " ", text).split())


def _digits(digits: str) -> str:
    if len(digits) > 9 or (len(digits) > 1 and digits[0] == "0"):
        return " ".join(spell(int(digit)) for digit in digits)
    return spell(int(digits))


def wer(reference: str, hypothesis: str) -> float:
    """Returns the word error rate, 0 for equal texts; over 1 where more words are wrong than were said."""
    return float(jiwer.wer(normalise(reference), normalise(hypothesis)))
