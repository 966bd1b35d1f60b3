"""The flight recorder: bounded, joined, and free of secrets."""

from __future__ import annotations

from itertools import count

from gateway.sip.events import Incoming, Pressed
from gateway.telemetry.latency import LastHour
from gateway.telemetry.recorder import FIRST, NEWEST, Recorder
from gateway.telemetry.settings import Telemetry
from gateway.telemetry.trace import signalled

SDP = "v=0\r\no=74951234567 1 1 IN IP4 192.0.2.1\r\na=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:c2VjcmV0|2^31\r\n"


def incoming() -> Incoming:
    headers = {"authorization": ["Digest response=x"], "from": ["<sip:74951234567@a>"], "user-agent": ["pbx"]}
    return Incoming(1, "id", "t", "", "sip:1@a", "sip:74951234567@a", "sip:1@a", "a:1", "udp", headers, SDP)


def test_steps_of_a_dialog_come_to_its_call_in_order() -> None:
    clock = count(0, 1_000_000)
    recorder = Recorder(lambda: next(clock))
    recorder.note("dialog", "sip", "incoming")
    recorder.join("dialog", "call")
    recorder.note("call", "event", "call.started")
    recorder.note("dialog", "sip", "ended")
    steps = recorder.steps("call")
    assert steps is not None
    assert [(step["ms"], step["what"]) for step in steps] == [(0.0, "incoming"), (1.0, "call.started"), (2.0, "ended")]
    assert recorder.steps("dialog") is None


def test_the_first_and_the_newest_steps_are_kept_and_the_oldest_call_goes() -> None:
    recorder = Recorder(count().__next__, calls=2)
    for number in range(FIRST + NEWEST + 7):
        recorder.note("a", "event", str(number))
    steps = recorder.steps("a")
    assert steps is not None
    assert [step["what"] for step in steps][FIRST - 1 : FIRST + 2] == [str(FIRST - 1), "dropped", str(FIRST + 7)]
    assert steps[FIRST]["steps"] == 7
    for name in "bc":
        recorder.note(name, "event", "x")
    assert recorder.steps("a") is None


def test_no_secret_is_recorded_and_numbers_only_where_they_may_be() -> None:
    hidden = str(signalled(incoming(), Telemetry()))
    shown = str(signalled(incoming(), Telemetry(log_numbers=True)))
    assert "74951234567" not in hidden
    assert "74951234567" in shown
    for text in (hidden, shown):
        assert "Digest" not in text
        assert "c2VjcmV0" not in text
        assert "pbx" in text
    assert "key" not in signalled(Pressed(1, "5", 160), Telemetry(log_numbers=True))


def test_the_last_hour_forgets_and_gives_quantiles() -> None:
    hour = LastHour()
    hour.add("x", [float(value) for value in range(1, 51)], now=0.0)
    hour.add("x", [float(value) for value in range(51, 101)], now=59.0)
    (minute,) = hour.shown(60.0)
    assert minute == {"minutes_ago": 1, "latency": {"x": {"count": 100, "p50": 51.0, "p95": 96.0}}}
    assert hour.shown(3600.0) == []
    hour.add("x", [], now=3600.0)
    assert hour.shown(3600.0) == [], "a minute in which nothing was measured is none"
