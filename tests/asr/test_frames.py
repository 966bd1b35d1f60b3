"""Frames made and split, against the library's own protocol."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.client import ClientProtocol
from websockets.frames import Frame, Opcode
from websockets.server import ServerProtocol
from websockets.uri import parse_uri

from gateway.asr.frames import BINARY, TEXT, Masks, Splitter, masked

LONGEST = 100_000
payloads = st.one_of(st.binary(max_size=300), st.sampled_from([b"x" * size for size in (125, 126, 65535, 65536)]))


@given(st.lists(st.tuples(st.sampled_from([TEXT, BINARY]), payloads), max_size=5))
def test_what_is_sent_is_what_the_library_reads(messages: list[tuple[int, bytes]]) -> None:
    server = ServerProtocol(max_size=None)
    request = ClientProtocol(parse_uri("ws://127.0.0.1/"), max_size=None)
    request.send_request(request.connect())
    server.receive_data(b"".join(request.data_to_send()))
    (asked,) = server.events_received()
    server.send_response(server.accept(asked))  # type: ignore[arg-type]
    for first, payload in messages:
        server.receive_data(masked(first, payload))
    frames = [event for event in server.events_received() if isinstance(event, Frame)]
    assert [(frame.opcode | 0x80, bytes(frame.data)) for frame in frames] == messages
    assert all(frame.fin for frame in frames)


def test_no_mask_is_used_twice() -> None:
    masks = Masks()
    drawn = {masks.next() for _ in range(5000)}
    assert len(drawn) > 4990
    assert {len(mask) for mask in drawn} == {4}


def served(opcode: Opcode, payload: bytes, *, fin: bool = True) -> bytes:
    return Frame(opcode, payload, fin).serialize(mask=False)


frames = st.tuples(
    st.sampled_from([Opcode.TEXT, Opcode.BINARY, Opcode.CONT, Opcode.PING, Opcode.PONG]), payloads, st.booleans()
)


@given(st.lists(frames, max_size=6), st.data())
def test_frames_come_out_whole_however_they_arrive(sent: list[tuple[Opcode, bytes, bool]], data: st.DataObject) -> None:
    control = (Opcode.PING, Opcode.PONG)
    whole = [
        Frame(opcode, payload[:125] if opcode in control else payload[:65535], fin or opcode in control).serialize(
            mask=False
        )
        for opcode, payload, fin in sent
    ]
    stream = b"".join(whole)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    splitter, found = Splitter(LONGEST), []
    for begin, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        found += splitter.feed(stream[begin:end])
    assert [frame for _, frame, _ in found] == whole
    for first, frame, begin in found:
        assert first == frame[0]
        assert begin == (2 if len(frame) - 2 < 126 else 4)


@pytest.mark.parametrize(
    "strange",
    [
        Frame(Opcode.TEXT, b"x" * 70_000).serialize(mask=False),
        Frame(Opcode.TEXT, b"masked").serialize(mask=True),
        served(Opcode.TEXT, b"x" * 60_000),
    ],
    ids=["64 bits of length", "masked", "too long"],
)
def test_after_a_strange_frame_nothing_is_split(strange: bytes) -> None:
    splitter = Splitter(50_000)
    plain = served(Opcode.TEXT, b"first")
    assert splitter.feed(plain + strange[:3]) == [(TEXT, plain, 2)] + (
        [(0, strange[:3], 0)] if strange[1] > 126 else []
    )
    assert b"".join(rest for _, rest, _ in splitter.feed(strange[3:] + plain)).endswith(plain)
