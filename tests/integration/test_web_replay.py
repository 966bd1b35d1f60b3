"""A developer whose consumer lost events gets them again by the API; labels reach the events of a call that is up."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import aiohttp

from gateway import events
from tests.peers.gateway import GatewayProcess, call
from tests.peers.speech import asset

TOKEN = "the-operators-token-of-this-test"
WEB = f'[[web.tokens]]\nname = "operator"\nrole = "operate"\ntoken = "{TOKEN}"'


async def ask(gateway: GatewayProcess, method: str, path: str, body: dict[str, Any] | None = None) -> tuple[int, Any]:
    headers = {"Authorization": f"Bearer {TOKEN}"}
    async with (
        aiohttp.ClientSession() as client,
        client.request(method, f"{gateway.web}/api/v1{path}", json=body, headers=headers) as answer,
    ):
        return answer.status, await answer.json()


async def test_labels_and_replay_by_the_api(tmp_path: Path) -> None:
    async with GatewayProcess(tmp_path, web=WEB) as gateway:
        calling = asyncio.create_task(call(gateway.sip, "--audio", str(asset("two_cities.wav")), "--hangup-after", "5"))
        (up,) = await gateway.until(bool)
        number = up.events[0].call.id
        assert (await ask(gateway, "PUT", f"/calls/{number}/labels", {"labels": {"queue": "sales"}}))[0] == 202
        await calling
        (done,) = await gateway.completed()
        assert done.completed is not None
        assert done.events[-1].call.labels == {"queue": "sales"}
        assert [change.change for change in done.of(events.CallUpdated)].count("labelled") == 1
        durable = [event.id for event in done.events if event.durable]

        async with asyncio.timeout(10):  # outcomes are written a moment after the answers
            while True:
                query = f"/webhooks?call={number}&endpoint=consumer&state=delivered"
                status, listed = await ask(gateway, "GET", query)
                assert status == 200
                if len(listed) == len(durable):
                    break
        assert [row["id"] for row in listed] == durable
        asked = await ask(gateway, "POST", "/webhooks/replay", {"call": number, "type": "transcript.*"})
        wanted = len([kind for kind in done.types if kind.startswith("transcript.")])
        assert asked == (202, {"deliveries": wanted})
        async with asyncio.timeout(10):
            while gateway.consumer.summary.duplicates < wanted:  # noqa: ASYNC110 (a repeat raises no event)
                await asyncio.sleep(0.05)
        assert gateway.consumer.summary.duplicates == wanted, "the same ids again, and no others"
        assert (await ask(gateway, "PUT", f"/calls/{number}/labels", {"labels": {"late": "x"}}))[0] == 404
