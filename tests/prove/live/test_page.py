"""The live page in Debian's Chromium: a supervisor operates real calls, and 500 of them scroll smoothly."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path
from typing import Any

from gateway import events
from tests.peers.claims import Claim
from tests.peers.gateway import GatewayProcess, call
from tests.prove.live.stage import palatine, recogniser, say
from tests.web.browser import chromium
from tests.web.desk import site, words
from tests.web.pages import OPERATE, WEB, sign_in


async def test_a_supervisor_hangs_up(tmp_path: Path, claim: Claim) -> None:
    async with (
        recogniser() as port,
        GatewayProcess(tmp_path, asr=palatine(port), web=WEB) as gateway,
        chromium() as chrome,
    ):
        page = await chrome.new_page()
        page.on("dialog", lambda dialog: asyncio.ensure_future(dialog.accept()))
        await sign_in(page, gateway.web, OPERATE)
        path = await say(tmp_path, "long", ["w1", "-"] * 12)
        calling = asyncio.create_task(call(gateway.sip, "--audio", str(path), "--leg", "caller"))
        await page.wait_for_selector(".row:not([hidden])", timeout=20_000)
        await page.locator("#list").focus()
        await page.keyboard.press("ArrowDown")
        await page.keyboard.press("Enter")
        await page.get_by_role("button", name="Pause transcription of caller").click()
        await page.get_by_role("button", name="Resume transcription of caller").click()
        await page.get_by_role("button", name="Hang up").click()
        (done,) = await gateway.completed()
        await calling
        changes = [item.change for item in done.of(events.CallUpdated)]
        claim("page: pause and resume by keyboard and mouse", changes, changes[:2] == ["withheld", "released"])
        reason = done.of(events.CallEnded)[0].reason
        claim("page: a supervisor's hang-up ends the call", reason, reason == "hangup")
        audit = [line for line in gateway.log if line.get("event") == "audit"]
        acts = [(line["user"], line["path"].rsplit("/", 1)[1]) for line in audit]
        wanted = [("supervisor", "pause"), ("supervisor", "resume"), ("supervisor", "hangup")]
        claim("page: the audit log has it", len(acts), acts == wanted)


async def test_five_hundred_live_calls_scroll_without_a_stutter(tmp_path: Path, claim: Claim) -> None:
    async with site(tmp_path, tokens=False) as running, chromium() as chrome:
        calls = [f"{number:08x}-0000-7000-8000-000000000000" for number in range(500)]
        for number, name in enumerate(calls):
            running.tell(name, events.CallStarted(leg="caller", codec="alaw"), number=str(1000 + number))
        page = await chrome.new_page(viewport={"width": 1280, "height": 800})
        await page.goto(running.url)
        await page.locator("#live-count", has_text="500").wait_for()
        going = True

        async def talk() -> None:
            revision, dice = 0, random.Random(1)
            while going:
                revision += 1
                for name in dice.sample(calls, 50):
                    said = words(events.TranscriptPartial, f"words {revision}", revision=revision)
                    running.tell(name, said)
                await asyncio.sleep(0.1)

        talking = asyncio.create_task(talk())
        measured: dict[str, Any] = await page.evaluate(
            """() => new Promise(done => {
              const list = document.querySelector('#list'), frames = [];
              let last = performance.now(), down = 1;
              const step = now => {
                frames.push(now - last); last = now;
                list.scrollTop += 40 * down;
                if (list.scrollTop + list.clientHeight >= list.scrollHeight - 1) down = -1;
                if (list.scrollTop <= 0) down = 1;
                if (frames.length < 400) requestAnimationFrame(step);
                else {
                  frames.sort((a, b) => a - b);
                  const rows = document.querySelectorAll('.row').length;
                  done({p50: frames[200], p95: frames[380], rows});
                }
              };
              requestAnimationFrame(step);
            })"""
        )
        going = False
        await talking
        claim(
            "page: 500 live calls, 500 events/s, scrolling: frame p50",
            f"{measured['p50']:.1f} ms",
            measured["p50"] < 20,
        )
        claim("page: likewise, frame p95 below 50 ms", f"{measured['p95']:.1f} ms", measured["p95"] < 50)
        claim("page: rows in the page for 500 calls", measured["rows"], measured["rows"] < 40)
