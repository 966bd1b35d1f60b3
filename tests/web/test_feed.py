"""The row of events that viewers follow: nothing lost, nothing twice, whatever a viewer does."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from gateway import events
from gateway.web.feed import Feed
from tests.web.desk import BEGUN, words


def event(call: str, number: int) -> events.Event:
    info = events.CallInfo(id=call, sip_call_ids=[], from_number="", to_number="", headers={})
    return events.Event(id=str(number), time=BEGUN, call=info, seq=1, data=words(events.TranscriptPartial, "a"))


def read(frames: bytes) -> list[tuple[str, str]]:
    """Returns place and event id of each server-sent event."""
    found = []
    for part in frames.decode().split("\n\n")[:-1]:
        place, kind, data = part.split("\n")
        assert kind == "event: call"
        found.append((place.removeprefix("id: "), json.loads(data.removeprefix("data: "))["id"]))
    return found


def test_a_place_of_another_run_or_of_nothing_means_a_snapshot() -> None:
    feed = Feed()
    feed.publish(event("a", 1))
    assert feed.number(feed.place()) == 1
    assert feed.number(feed.place(0)) == 0
    assert feed.number(feed.place(2)) is None, "a place that is still to come"
    for place in ("", "x", "1", "-", Feed().place(0), feed.place() + "x", feed.place() + "²"):
        assert feed.number(place) is None


def test_what_is_not_kept_any_more_means_a_snapshot() -> None:
    feed = Feed(row=3)
    for number in range(1, 6):
        feed.publish(event("a", number))
    assert feed.first == 3
    assert feed.since(1) is None
    assert feed.number(feed.place(1)) is None
    assert [name for _, name in read(feed.since(2) or b"")] == ["3", "4", "5"]


@given(
    steps=st.lists(
        st.one_of(
            st.sampled_from("ab").map(lambda call: ("publish", call)), st.just(("read", "")), st.just(("cut", ""))
        ),
        max_size=60,
    ),
    wanted=st.sampled_from([None, "a"]),
)
def test_reading_and_coming_back_gives_each_event_once_and_in_order(
    steps: list[tuple[str, str]], wanted: str | None
) -> None:
    feed = Feed()
    told: list[str] = []
    got: list[str] = []
    at = feed.end
    for number, (step, call) in enumerate([*steps, ("read", "")]):
        if step == "publish":
            feed.publish(event(call, number))
            if wanted in (None, call):
                told.append(str(number))
        elif step == "read":
            frames = feed.since(at, wanted)
            assert frames is not None
            got += [name for _, name in read(frames)]
            at = feed.end
        else:  # the connection is cut after any event: the viewer names the last that it has
            frames = feed.since(at, wanted)
            assert frames is not None
            seen = read(frames)[:1]
            got += [name for _, name in seen]
            known = feed.number(seen[0][0]) if seen else at
            assert known is not None
            at = known
    assert got == told
