"""The test recogniser: blocks, utterances, limits, and faults in mid-word."""

from gateway.asr.fake.core import Block, FakeSession, Options
from gateway.asr.fake.faults import FaultPlan, parse
from gateway.asr.fake.words import say


def run(session: FakeSession, audio: bytes, size: int = 800) -> tuple[list[Block], list[str], int]:
    """Feeds until a fault; returns the blocks, the faults and the bytes taken."""
    blocks: list[Block] = []
    for first in range(0, len(audio), size):
        got, fault = session.feed(audio[first : first + size])
        blocks += got
        if fault is not None:
            return blocks, [fault.kind], first + size
    return blocks, [], len(audio)


def test_text_comes_in_blocks_and_utterances_end_at_pauses() -> None:
    session = FakeSession(Options(block_ms=300, pause_ms=700), "alaw", "test")
    blocks, _, _ = run(session, say([1, 2, None, 3]))
    last, fault = session.finish()
    assert fault is None
    assert [block.position for block in blocks] == [2400 * (n + 1) for n in range(len(blocks))]
    ended = [utterance for block in blocks + last for utterance in block.ended]
    assert [(one.index, one.text) for one in ended] == [(0, "w1 w2"), (1, "w3")]
    assert (ended[1].words[0].start, ended[1].words[0].end) == (4800 + 9600, 4800 + 9600 + 1920)
    assert session.text == "w1 w2 w3"
    assert session.outcome == "completed"


def test_an_utterance_ends_when_the_next_word_comes_late_within_a_block() -> None:
    session = FakeSession(Options(block_ms=3000, pause_ms=700), "alaw", "test")
    blocks, _, _ = run(session, say([1, None, 2], pause_ms=800) + say([None, None]))
    ended = [utterance.text for block in blocks for utterance in block.ended]
    assert ended == ["w1", "w2"]


def test_announced_silence_ends_an_utterance_and_counts_as_time() -> None:
    session = FakeSession(Options(), "linear16", "test")
    run(session, say([1], "linear16"))
    blocks, _ = session.silence(8000)
    assert [utterance.text for utterance in blocks[-1].ended] == ["w1"]
    assert session.samples == 2400 + 8000
    run(session, say([2], "linear16"))
    session.finish()
    assert [(word.text, word.start) for word in session.words] == [("w1", 0), ("w2", 10400)]


def test_a_fault_happens_in_mid_word_without_waiting_for_the_block() -> None:
    session = FakeSession(Options(block_ms=1000, plan=FaultPlan([parse("drop@2w")])), "alaw", "test")
    _, faults, taken = run(session, say([1, 2, 3]), size=160)
    assert faults == ["drop"]
    assert taken == 2400 + 640, "80 ms into the second word"
    assert session.outcome == "drop"


def test_limits_end_a_session() -> None:
    by_time = FakeSession(Options(max_seconds=1.0), "linear16", "test")
    assert run(by_time, bytes(32_000), 1600)[1:] == (["limit"], 17_600)
    by_bytes = FakeSession(Options(max_bytes=20_000), "alaw", "test")
    assert run(by_bytes, b"\xd5" * 40_000)[1:] == (["limit"], 20_800)
