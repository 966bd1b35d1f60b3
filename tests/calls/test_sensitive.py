"""Sensitive input: which audio and which keys are withheld."""

from __future__ import annotations

from gateway.calls.sensitive import Withholding
from gateway.media.chunks import Chunk, Digit


def chunk(first: int, samples: int = 800) -> Chunk:
    return Chunk(1, "alaw", first, samples, bytes(samples), (), b"", 0, 0)


def keys(withholding: Withholding, pressed: str, first: int = 0) -> str:
    """Presses keys; returns those that are not withheld."""
    return "".join(key for at, key in enumerate(pressed) if not withholding.key(Digit(1, key, first + at * 1600, 800)))


def test_a_pause_withholds_whole_chunks_and_its_end_to_the_sample_of_20_ms() -> None:
    withholding = Withholding()
    assert withholding.withheld(chunk(0)) == 0
    withholding.pause()
    assert [withholding.withheld(chunk(first)) for first in (800, 1600)] == [800, 800]
    withholding.resume(2500)
    assert [withholding.withheld(chunk(first)) for first in (2400, 3200)] == [160, 0]


def test_what_is_under_way_at_the_end_is_withheld() -> None:
    withholding = Withholding()
    withholding.pause()
    withholding.resume(3200)
    assert [withholding.withheld(chunk(first)) for first in (800, 1600, 2400, 3200)] == [800, 800, 800, 0]
    withholding.resume(99_999)  # not paused: nothing to end
    assert withholding.withheld(chunk(4000)) == 0


def test_codes_of_keys_begin_and_end_it() -> None:
    withholding = Withholding("*9", "*8")
    assert keys(withholding, "12*9") == "12*9"
    assert withholding.active
    assert keys(withholding, "4111*", 8000) == ""
    assert withholding.active
    assert keys(withholding, "*8", 20_000) == ""
    assert not withholding.active
    # the code ended at 22400, so a key that began before that is of it
    assert keys(withholding, "7", 22_000) == ""
    assert keys(withholding, "5", 22_400) == "5"
    assert withholding.withheld(chunk(21_600)) == 800
    assert withholding.withheld(chunk(22_400)) == 0


def test_without_codes_no_key_does_anything() -> None:
    withholding = Withholding()
    assert keys(withholding, "*9*8") == "*9*8"
    assert not withholding.active


def test_one_code_for_both_toggles() -> None:
    withholding = Withholding("##", "##")
    assert keys(withholding, "##1##2", 0) == "##2"
