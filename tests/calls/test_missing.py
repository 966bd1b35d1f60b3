"""What the completeness report says of a leg, and that labels are told of."""

from types import SimpleNamespace

import pytest

from gateway import events
from gateway.calls.call import Call, missing_of
from gateway.calls.identity import Identity


def leg(**changed: object) -> events.LegMedia:
    fields = dict.fromkeys(events.LegMedia.model_fields, 0) | {
        "leg": "caller",
        "duration": 84_000,
        "received": 80_000,
        "concealed": 4_000,
        "sent": 80_000,
        "withheld": 4_000,
        "recognised_seconds": 10.0,
    }
    return events.LegMedia.model_validate(fields | changed)


def test_the_report_is_in_seconds() -> None:
    made = leg(unrecognised=800).seconds
    assert made == events.LegSeconds(
        received=10.0, sent=10.0, recognised=10.0, withheld=0.5, lost=0.5, unrecognised=0.1
    )


@pytest.mark.parametrize(
    ("changed", "lost", "missing"),
    [
        ({}, [], []),
        ({"recognised_seconds": 9.75}, [], []),
        ({"recognised_seconds": 9.0}, [], [("count_differs", None, 1.0)]),
        ({"unrecognised": 800}, [], [("recogniser_lost", None, 0.1)]),
        (
            {"unrecognised": 2400},
            [(8000, 8800), (16_000, 17_600)],
            [("recogniser_lost", 1000, 0.1), ("recogniser_lost", 2000, 0.2)],
        ),
        ({"recognised_seconds": None}, [], [("recogniser_lost", 0, 10.0)]),
        ({"recognised_seconds": None, "sent": 0}, [], []),
    ],
)
def test_what_may_be_missing(changed: dict, lost: list, missing: list) -> None:
    assert [(gap.cause, gap.from_ms, gap.seconds) for gap in missing_of(leg(**changed), lost)] == missing


def test_labels_are_told_of_and_stand_in_every_later_event() -> None:
    told: list[events.Event] = []
    identity = Identity("", "caller", "1", "2", {})
    call = Call(identity, told.append, SimpleNamespace(), lambda _: None)
    call.label({"customer": "4711", "queue": "sales"})
    call.label({"customer": "4711"})
    call.label({"queue": ""})
    assert [(event.seq, event.data.change, event.data.leg) for event in told] == [
        (1, "labelled", None),
        (2, "labelled", None),
    ]
    assert [event.call.labels for event in told] == [{"customer": "4711", "queue": "sales"}, {"customer": "4711"}]
