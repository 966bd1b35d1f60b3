from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from gateway.sip import pipe as module
from gateway.sip.commands import Drain, Hangup, Stop
from gateway.sip.events import Established, Fault, StackLog
from gateway.sip.messages import MessageError
from gateway.sip.pipe import Pipe, PipeClosedError


@pytest.fixture
def ends() -> Iterator[tuple[Pipe, socket.socket]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield Pipe(ours), theirs


def test_lines_in_pieces(ends: tuple[Pipe, socket.socket]) -> None:
    pipe, other = ends
    data = Drain(9).line() + Hangup(3).line() + Stop().line()
    other.send(data[:30])
    first = list(pipe.receive())
    other.send(data[30:-1])
    second = list(pipe.receive())
    other.send(data[-1:])
    assert [*first, *second] == [Drain(9), Hangup(3)]
    assert list(pipe.receive()) == [Stop()]


def test_an_end_is_told_after_what_came_before_it(ends: tuple[Pipe, socket.socket]) -> None:
    pipe, other = ends
    other.send(Stop().line())
    other.close()
    received = pipe.receive()
    assert next(received) == Stop()
    with pytest.raises(PipeClosedError, match="closed the link"):
        next(received)
    with pytest.raises(PipeClosedError, match="gone"):
        pipe.send(Established(1))


def test_a_line_that_is_no_message(ends: tuple[Pipe, socket.socket]) -> None:
    pipe, other = ends
    other.send(b'{"type": "Nonsense"}\n')
    with pytest.raises(MessageError, match="Nonsense"):
        list(pipe.receive())


def test_a_line_without_end(ends: tuple[Pipe, socket.socket], monkeypatch: pytest.MonkeyPatch) -> None:
    pipe, other = ends
    monkeypatch.setattr(module, "LONGEST_LINE", 100)
    other.send(b"x" * 101)
    with pytest.raises(PipeClosedError, match="no end"):
        list(pipe.receive())


def test_a_gateway_that_reads_nothing_loses_log_lines_first_and_then_the_process(
    ends: tuple[Pipe, socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    pipe, _ = ends
    monkeypatch.setattr(module, "LOG_BOUND", 10_000)
    monkeypatch.setattr(module, "BOUND", 100_000)
    line = StackLog(3, "x" * 1000)
    while not pipe.dropped:
        pipe.send(line)
    pipe.send(Established(1))
    pipe.send(line)
    assert pipe.dropped == 2
    with pytest.raises(PipeClosedError, match="unread"):
        pipe.send(Fault("x" * 100_000))
