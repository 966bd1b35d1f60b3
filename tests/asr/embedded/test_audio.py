from __future__ import annotations

import audioop
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.asr.embedded.audio import Blocks, OddByteError


def run(codec, rate, messages):
    blocks = Blocks(codec, rate)
    cut = [block for message in messages for block in blocks.push(message)]
    return cut, blocks.rest(), blocks.seconds


def split(audio, cuts):
    edges = [0, *sorted(cut % (len(audio) + 1) for cut in cuts), len(audio)]
    return [audio[first:last] for first, last in itertools.pairwise(edges)]


@given(
    st.sampled_from(["alaw", "mulaw", "linear16"]),
    st.sampled_from([8000, 16000]),
    st.integers(0, 20_000),
    st.lists(st.integers(0), max_size=30),
)
def test_the_blocks_do_not_depend_on_the_messages(codec, rate, samples, cuts):
    width = 2 if codec == "linear16" else 1
    audio = bytes(index * 7 % 256 for index in range(samples * width))
    whole = run(codec, rate, [audio])
    assert run(codec, rate, split(audio, cuts)) == whole
    blocks, rest, seconds = whole
    assert seconds == samples / rate
    assert {len(block) for block in blocks} <= {rate * 3 // 10 * 2}
    assert len(rest) < rate * 3 // 10 * 2
    assert len(b"".join(blocks) + rest) == samples * 2


@pytest.mark.parametrize(("codec", "decode"), [("alaw", audioop.alaw2lin), ("mulaw", audioop.ulaw2lin)])
def test_g711_is_decoded(codec, decode):
    audio = bytes(range(256)) * 10
    blocks, rest, _ = run(codec, 8000, [audio])
    assert b"".join(blocks) + rest == decode(audio, 2)


def test_one_byte_messages():
    audio = bytes(range(250)) * 20
    assert run("linear16", 8000, split(audio, range(len(audio)))) == ([audio[:4800]], audio[4800:], 2500 / 8000)


def test_half_a_sample_at_the_end():
    blocks = Blocks("linear16", 8000)
    assert list(blocks.push(bytes(4803))) == [bytes(4800)]
    with pytest.raises(OddByteError):
        blocks.rest()
    assert blocks.seconds == 2401 / 8000
