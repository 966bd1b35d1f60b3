"""Legs that come on dialogs of their own: in any order, late, alone, after the call, and many at once (sipp)."""

from __future__ import annotations

import asyncio
from pathlib import Path

from gateway import events
from tests.integration.test_asterisk import recogniser
from tests.peers.claims import Claim
from tests.peers.gateway import GatewayProcess, Received
from tests.peers.legs import legs
from tests.peers.recogniser import Recogniser, word

CALLER, AGENT = [17, 18, 19, 20], [49, 50, 51, 52]
KEPT = '[calls]\nheaders = ["X-Call-Id"]\n'
MANY = 20


def words(values: list[int]) -> str:
    return " ".join(word(value) for value in values)


def names(call: Received) -> list[str]:
    """Returns the names of the legs, in the order in which they were told."""
    (started,) = call.of(events.CallStarted)
    return [started.leg, *(one.leg for one in call.of(events.CallUpdated) if one.change == "leg_added")]


def keys(call: Received) -> set[str]:
    return {event.call.headers["x-call-id"] for event in call.events}


async def test_the_second_leg_first_and_one_seconds_late(tmp_path: Path, claim: Claim) -> None:
    async with Recogniser() as server, GatewayProcess(tmp_path, asr=recogniser(server)) as gateway:
        first = asyncio.create_task(legs(tmp_path, gateway.sip, "agent", AGENT * 4, key="late"))
        (call,) = await gateway.until(lambda calls: bool(calls) and bool(calls[0].of(events.TranscriptPartial)))
        await asyncio.sleep(2)
        await legs(tmp_path, gateway.sip, "caller", CALLER, key="late")
        await first
        (call,) = await gateway.completed()
    told = ", ".join(names(call))
    claim("legs: the second one first, the first one 2 s late", told, told == "agent, caller")
    assert (call.text("agent"), call.text("caller")) == (words(AGENT * 4), words(CALLER))
    assert call.completed is not None
    begun = {leg: next(one.time for one in call.completed.utterances if one.leg == leg) for leg in ("agent", "caller")}
    apart = (begun["caller"] - begun["agent"]).total_seconds()
    claim("legs: seconds between their first words, on one clock", f"{apart:.1f}", 2 <= apart < 10)


async def test_a_lone_leg_is_a_call(tmp_path: Path, claim: Claim) -> None:
    async with Recogniser() as server, GatewayProcess(tmp_path, asr=recogniser(server)) as gateway:
        await legs(tmp_path, gateway.sip, "caller", CALLER, key="lone")
        (call,) = await gateway.completed()
    assert call.completed is not None
    claim("legs: a lone leg's words", call.text(), call.text() == words(CALLER) and call.completed.complete)
    assert names(call) == ["caller"]


async def test_a_leg_within_the_linger_time_joins_and_one_after_it_does_not(tmp_path: Path, claim: Claim) -> None:
    settings = KEPT + "linger_seconds = 5.0\n"
    async with (
        Recogniser() as server,
        GatewayProcess(tmp_path, asr=recogniser(server), settings=settings) as gateway,
    ):
        await legs(tmp_path, gateway.sip, "caller", CALLER, key="again")
        await gateway.until(lambda calls: any(one.change == "leg_ended" for one in calls[0].of(events.CallUpdated)))
        await legs(tmp_path, gateway.sip, "agent", AGENT, key="again")
        (joined,) = await gateway.completed()
        before = list(joined.events)
        await legs(tmp_path, gateway.sip, "agent", AGENT, key="again")
        joined, apart = await gateway.completed(2)
    assert (joined.text("caller"), joined.text("agent")) == (words(CALLER), words(AGENT))
    told = f"{', '.join(names(joined))}; {', '.join(names(apart))}"
    claim("legs: one after the other; one after the call, which has ended", told, told == "caller, agent; agent")
    claim("legs: events of the ended call after that", len(joined.events) - len(before), joined.events == before)
    assert apart.text("agent") == words(AGENT)
    assert keys(joined) == keys(apart) == {"again"}, "a consumer can tell that they belong together"
    assert joined.types[-1] == apart.types[-1] == "call.transcript.completed"


async def test_calls_whose_legs_race(tmp_path: Path, claim: Claim) -> None:
    async with (
        Recogniser() as server,
        GatewayProcess(tmp_path, asr=recogniser(server), max_calls=2 * MANY) as gateway,
    ):
        both = {"caller": CALLER, "agent": AGENT}
        await asyncio.gather(
            *(
                legs(tmp_path, gateway.sip, leg, values, key="race-[call_number]", calls=MANY, rate=10)
                for leg, values in both.items()
            )
        )
        calls = await gateway.completed(MANY)
    whole = sum((call.text("caller"), call.text("agent")) == (words(CALLER), words(AGENT)) for call in calls)
    claim("legs: calls whose two legs race, with both legs' words", f"{whole} of {MANY}", whole == MANY == len(calls))
    firsts = [names(call)[0] for call in calls]
    assert all(sorted(names(call)) == ["agent", "caller"] for call in calls), firsts
