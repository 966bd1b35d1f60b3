"""The API over real HTTP: who may do what, what is found, and what a stream tells."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from pydantic import ValidationError
from structlog.testing import capture_logs

from gateway import events
from gateway.web.settings import Web
from tests.peers.claims import Claim
from tests.web.desk import TOKENS, Site, completed, site, words

CALL = "01a200da-b142-7304-a95f-bc583c0be9a3"
OTHER = "01a200da-b14c-77d6-8413-d43776f88037"
# What each role needs at least, of every operation that there is.
MATRIX = {
    ("GET", "/api/v1/whoami"): "view",
    ("GET", "/api/v1/calls"): "view",
    ("GET", "/api/v1/calls/{call}"): "view",
    ("GET", "/api/v1/calls/{call}/transcript"): "view",
    ("GET", "/api/v1/calls/{call}/events"): "view",
    ("GET", "/api/v1/calls/{call}/export"): "view",
    ("GET", "/api/v1/calls/{call}/stream"): "view",
    ("GET", "/api/v1/stream"): "view",
    ("GET", "/api/v1/status"): "view",
    ("GET", "/api/v1/latency"): "view",
    ("GET", "/api/v1/calls/{call}/trace"): "operate",
    ("POST", "/api/v1/calls/{call}/hangup"): "operate",
    ("POST", "/api/v1/calls/{call}/legs/{leg}/pause"): "operate",
    ("POST", "/api/v1/calls/{call}/legs/{leg}/resume"): "operate",
    ("PUT", "/api/v1/calls/{call}/labels"): "operate",
    ("GET", "/api/v1/webhooks"): "operate",
    ("GET", "/api/v1/webhooks/{event}"): "operate",
    ("POST", "/api/v1/webhooks/replay"): "operate",
    ("GET", "/api/v1/config"): "admin",
    ("POST", "/api/v1/drain"): "admin",
    ("GET", "/api/v1/log-level"): "admin",
    ("PUT", "/api/v1/log-level"): "admin",
    ("GET", "/health/live"): "nobody",
    ("GET", "/health/ready"): "nobody",
}
BODIES = {
    "/api/v1/log-level": {"level": "info"},
    "/api/v1/calls/{call}/labels": {"labels": {"queue": "sales"}},
    "/api/v1/webhooks/replay": {"state": "dead"},
}
RANKS = ["nobody", "view", "operate", "admin"]


def bearer(token: str | None) -> dict[str, str]:
    return {} if token is None else {"Authorization": f"Bearer {token}"}


async def ask(url: str, method: str = "GET", token: str | None = TOKENS["view"], **options: Any) -> tuple[int, Any]:
    headers = {**bearer(token), **options.pop("headers", {})}
    async with (
        aiohttp.ClientSession() as client,
        client.request(method, url, headers=headers, **options) as answer,
    ):
        if answer.content_type == "text/event-stream":
            return answer.status, None
        text = await answer.text()
        return answer.status, json.loads(text) if answer.content_type == "application/json" else text


def one_call(
    at: Site, call: str = CALL, text: str = "hello there", number: str = "100", **marks: dict[str, str]
) -> None:
    said = words(events.TranscriptFinal, text)
    at.tell(call, events.CallStarted(leg="caller", codec="alaw"), number=number, **marks)
    at.tell(call, said, at=2, number=number, **marks)
    at.tell(call, events.CallEnded(reason="bye", seconds=3.0), at=3, number=number, **marks)
    at.tell(call, completed(said), at=3, number=number, **marks)


async def test_every_operation_is_in_the_matrix_and_every_role_is_held_to_it(tmp_path: Path, claim: Claim) -> None:
    async with site(tmp_path) as running:
        _, document = await ask(f"{running.url}api/v1/openapi.json", token=None)
        there = {(method.upper(), path) for path, known in document["paths"].items() for method in known}
        claim(
            "API: operations in the authorisation matrix, of all that are published",
            f"{len(MATRIX)} of {len(there)}",
            there == set(MATRIX),
        )
        tried, wrong = 0, []
        running.tell(CALL, events.CallStarted(leg="caller", codec="alaw"))
        for (method, path), least in MATRIX.items():
            url = running.url.rstrip("/") + path.replace("{call}", CALL).replace("{leg}", "caller").replace(
                "{event}", CALL
            )
            body = {"json": BODIES[path]} if path in BODIES and method != "GET" else {}
            for rank, role in enumerate(RANKS):
                status, _ = await ask(url, method, TOKENS.get(role), **body)
                wanted = "let in" if rank >= RANKS.index(least) else "kept out"
                got = {401: "kept out", 403: "kept out"}.get(status, "let in")
                tried += 1
                if got != wanted or status >= 500:
                    wrong.append((method, path, role, status))
            status, _ = await ask(url, method, "a-token-that-nobody-has", **body)
            tried += 1
            if status != (200 if least == "nobody" else 401):
                wrong.append((method, path, "unknown token", status))
        claim(f"API: role by role, {tried} requests: let in or kept out against the matrix", wrong, not wrong)
        assert running.desk.told.count(("drain",)) == 1
        assert running.desk.told.count(("hang_up", CALL)) == 2


async def test_without_tokens_anybody_on_loopback_may_look_and_not_operate(tmp_path: Path) -> None:
    async with site(tmp_path, tokens=False) as running:
        assert (await ask(f"{running.url}api/v1/whoami", token=None))[1] == {"name": "anonymous", "role": "view"}
        assert (await ask(f"{running.url}api/v1/calls/{CALL}/hangup", "POST", None))[0] == 403
        assert running.desk.told == []
    async with site(tmp_path, tokens=False, anonymous="none") as running:
        assert (await ask(f"{running.url}api/v1/whoami", token=None))[0] == 401


async def test_pages_of_other_names_and_origins_are_refused(tmp_path: Path) -> None:
    async with site(tmp_path, tokens=False, anonymous="operate") as running:
        assert (await ask(f"{running.url}api/v1/calls", headers={"Host": "evil.example"}, token=None))[0] == 421
        hangup = f"{running.url}api/v1/calls/{CALL}/hangup"
        assert (await ask(hangup, "POST", None, headers={"Origin": "http://evil.example"}))[0] == 403
        assert (await ask(hangup, "POST", None, headers={"Origin": running.url.rstrip("/")}))[0] == 202
        assert (await ask(hangup, "POST", None, data=b"x" * 70_000))[0] == 413
        assert (await ask(f"{running.url}static/..%2Fapi.py", token=None))[0] == 404


async def test_operating_is_written_into_the_audit_log_without_the_token(tmp_path: Path) -> None:
    async with site(tmp_path) as running:
        with capture_logs() as lines:
            await ask(f"{running.url}api/v1/calls/{CALL}/hangup", "POST", TOKENS["view"])
            await ask(f"{running.url}api/v1/calls/{CALL}/hangup", "POST", TOKENS["operate"])
            await ask(f"{running.url}api/v1/calls", token=TOKENS["operate"])
    assert [(line["user"], line["verdict"], line["method"]) for line in lines if line["event"] == "audit"] == [
        ("viewer", "refused", "POST"),
        ("operateer", "allowed", "POST"),
    ]
    assert not any(token in str(lines) for token in TOKENS.values())


async def test_past_calls_are_found_by_number_words_and_time(tmp_path: Path) -> None:
    async with site(tmp_path) as running:
        one_call(running, labels={"tier": "VIP"})
        one_call(running, OTHER, "Goodbye now", "555", headers={"X-Queue": "sales"})
        await running.outbox.flush()

        async def found(query: str) -> list[str]:
            status, answer = await ask(f"{running.url}api/v1/calls?state=past&{query}")
            assert status == 200
            return [call["id"] for call in answer["calls"]]

        assert await found("") == [OTHER, CALL], "newest first"
        assert await found("number=555") == [OTHER]
        assert await found("text=HELLO") == [CALL]
        assert await found("text=nobody+said+this") == []
        assert await found("until=2001-01-01T00:00:00Z") == []
        assert await found("since=2001-01-01T00:00:00Z&until=2100-01-01T00:00:00Z") == [OTHER, CALL]
        assert await found("since=2100-01-01T00:00:00Z") == []
        assert await found("label=SALES") == [OTHER], "by a chosen header"
        assert await found("label=vip") == [CALL], "by a label that was attached"
        _, first = await ask(f"{running.url}api/v1/calls?state=past&limit=1")
        assert [call["id"] for call in first["calls"]] == [OTHER]
        assert await found(f"before={first['next']}") == [CALL]
        _, detail = await ask(f"{running.url}api/v1/calls/{CALL}")
        assert [said["text"] for said in detail["transcript"]] == ["hello there"]
        _, since = await ask(f"{running.url}api/v1/calls/{CALL}/events?since=2")
        assert [(event["seq"], event["type"]) for event in since] == [
            (3, "call.ended"),
            (4, "call.transcript.completed"),
        ]
        assert (await ask(f"{running.url}api/v1/calls/{CALL.replace('0', '1')}"))[0] == 404


async def test_dead_letters_are_listed_shown_and_asked_for_again(tmp_path: Path) -> None:
    async with site(tmp_path) as running:
        one_call(running)
        await running.outbox.flush()
        hooks, token = f"{running.url}api/v1/webhooks", TOKENS["operate"]
        status, listed = await ask(f"{hooks}?call={CALL}", token=token)
        assert (status, [row["seq"] for row in listed]) == (200, [1, 2, 3, 4])
        assert await ask(f"{hooks}?state=dead", token=token) == (200, [])
        status, shown = await ask(f"{hooks}/{listed[1]['id']}", token=token)
        assert (status, shown["event"]["type"]) == (200, "transcript.final")
        assert (await ask(f"{hooks}/{CALL}", token=token))[0] == 404
        assert (await ask(f"{hooks}/replay", "POST", token, json={}))[0] == 409, "not everything by mistake"
        assert (await ask(f"{hooks}/replay", "POST", token, json={"call": CALL, "to": "nobody"}))[0] == 409
        assert await ask(f"{hooks}/replay", "POST", token, json={"call": CALL}) == (202, {"deliveries": 0})


async def test_a_cut_stream_goes_on_where_it_was(tmp_path: Path) -> None:
    async with site(tmp_path) as running:
        said: list[str] = []
        place = ""
        running.tell(CALL, events.CallStarted(leg="caller", codec="alaw"))
        for number in range(1, 9):
            running.tell(CALL, words(events.TranscriptFinal, f"w{number}", utterance=number))
            async with aiohttp.ClientSession() as client:
                headers = {**bearer(TOKENS["view"]), **({"Last-Event-ID": place} if place else {})}
                async with client.get(f"{running.url}api/v1/stream", headers=headers) as answer:
                    kind, data = "", ""
                    async for line in answer.content:  # one event each time, then the connection is cut
                        name, _, value = line.decode().rstrip("\n").partition(": ")
                        place = value if name == "id" else place
                        kind = value if name == "event" else kind
                        data = value if name == "data" else data
                        if not line.strip():
                            break
            body = json.loads(data)
            assert kind == ("snapshot" if number == 1 else "call")
            said.append(body["calls"][0]["last_words"] if number == 1 else body["data"]["text"])
        assert said == [f"w{number}" for number in range(1, 9)]


async def test_the_stream_of_one_call_tells_that_call_alone_and_ends_with_it(tmp_path: Path) -> None:
    async with site(tmp_path) as running:
        running.tell(CALL, events.CallStarted(leg="caller", codec="alaw"))

        async def follow() -> list[str]:
            async with aiohttp.ClientSession() as client:
                url = f"{running.url}api/v1/calls/{CALL}/stream"
                async with client.get(url, headers=bearer(TOKENS["view"])) as answer:
                    text = (await answer.read()).decode()
            return [line.removeprefix("event: ") for line in text.splitlines() if line.startswith("event: ")]

        following = asyncio.create_task(follow())
        while not running.board.feed.viewers:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        one_call(running, OTHER)
        running.tell(CALL, events.CallEnded(reason="bye", seconds=3.0))
        running.tell(CALL, completed())
        assert await asyncio.wait_for(following, 5) == ["snapshot", "call", "call"]
        assert running.board.feed.viewers == 0


async def test_too_many_viewers_are_sent_away(tmp_path: Path) -> None:
    async with site(tmp_path, max_viewers=1) as running, aiohttp.ClientSession() as client:
        url = f"{running.url}api/v1/stream"
        async with client.get(url, headers=bearer(TOKENS["view"])) as first:
            assert first.status == 200
            await first.content.readline()
            assert (await ask(url))[0] == 503


async def test_readiness(tmp_path: Path) -> None:
    async with site(tmp_path) as running:
        assert await ask(f"{running.url}health/ready", token=None) == (200, {"ready": True, "reasons": []})
        running.desk.reasons = ["draining"]
        assert await ask(f"{running.url}health/ready", token=None) == (503, {"ready": False, "reasons": ["draining"]})


@pytest.mark.parametrize("path", ["", "static/app.js", "static/style.css"])
async def test_the_page_is_served_with_a_strict_policy(tmp_path: Path, path: str) -> None:
    async with site(tmp_path) as running, aiohttp.ClientSession() as client:
        async with client.get(running.url + path) as answer:
            assert answer.status == 200
            assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
            tag = answer.headers["ETag"]
        async with client.get(running.url + path, headers={"If-None-Match": tag}) as answer:
            assert answer.status == 304


async def test_export_in_each_form_and_not_before_the_end(tmp_path: Path) -> None:
    async with site(tmp_path) as running:
        running.tell(OTHER, events.CallStarted(leg="caller", codec="alaw"))
        one_call(running)
        await running.outbox.flush()
        texts = {}
        for form in ("json", "text", "srt", "vtt"):
            async with aiohttp.ClientSession() as client:
                url = f"{running.url}api/v1/calls/{CALL}/export?form={form}"
                async with client.get(url, headers=bearer(TOKENS["view"])) as answer:
                    assert answer.status == 200
                    ending = {"text": "txt"}.get(form, form)
                    assert answer.headers["Content-Disposition"] == f'attachment; filename="{CALL}.{ending}"'
                    texts[form] = await answer.text()
        assert all("hello there" in text for text in texts.values())
        assert texts["vtt"].startswith("WEBVTT\n")
        assert "00:00:01,000 --> 00:00:01,800" in texts["srt"]
        assert (await ask(f"{running.url}api/v1/calls/{OTHER}/export"))[0] == 409


async def test_an_admin_drains_sets_the_log_level_and_sees_the_configuration_masked(tmp_path: Path) -> None:
    async with site(tmp_path) as running:
        api, token = f"{running.url}api/v1", TOKENS["admin"]
        assert await ask(f"{api}/log-level", "PUT", token, json={"level": "debug"}) == (200, {"level": "debug"})
        assert running.desk.level == "debug"
        assert (await ask(f"{api}/log-level", "PUT", token, json={"level": "loud"}))[0] == 422
        status, shown = await ask(f"{api}/config", token=token)
        assert (status, shown["web"]["tokens"][0]["name"]) == (200, "viewer")
        assert not any(secret in json.dumps(shown) for secret in TOKENS.values())
        assert await ask(f"{api}/drain", "POST", token) == (202, {"outcome": "done"})
        assert running.desk.told == [("drain",)]


async def test_operators_pause_resume_and_label(tmp_path: Path) -> None:
    async with site(tmp_path) as running:
        call, token = f"{running.url}api/v1/calls/{CALL}", TOKENS["operate"]
        for act in ("pause", "resume"):
            assert await ask(f"{call}/legs/the%20agent/{act}", "POST", token) == (202, {"outcome": "done"})
        assert (await ask(f"{call}/labels", "PUT", token, json={"labels": {"queue": "sales"}}))[0] == 202
        assert running.desk.told == [
            ("pause", CALL, "the agent", True),
            ("pause", CALL, "the agent", False),
            ("label", CALL, {"queue": "sales"}),
        ]


@pytest.mark.parametrize(
    ("web", "fault"),
    [
        ({}, "set web.tokens first"),
        ({"tokens": True}, "set certificate and key, or behind_proxy"),
        ({"tokens": True, "behind_proxy": True}, ""),
        ({"tokens": True, "certificate": "a.pem", "key": "a.key"}, ""),
        ({"listen": "[::1]:8080"}, ""),
    ],
)
def test_elsewhere_than_on_loopback_it_wants_tokens_and_tls(web: dict[str, Any], fault: str) -> None:
    known = [{"name": "a", "role": "view", "token": TOKENS["view"]}] if web.get("tokens") else []
    wanted = {"listen": "0.0.0.0:8080", **web, "tokens": known}
    if fault:
        with pytest.raises(ValidationError, match=fault):
            Web.model_validate(wanted)
    else:
        Web.model_validate(wanted)
