"""The live page in Debian's Chromium, during real calls: nothing lost, nothing twice, nobody kept out, smooth."""

from __future__ import annotations

import asyncio
import json
import os
import random
import re
import sys
import time
from pathlib import Path
from typing import Any

from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Page

from gateway import events
from tests.peers.claims import Claim
from tests.peers.gateway import GatewayProcess, call
from tests.prove.live.stage import Wire, palatine, recogniser, say
from tests.web.browser import chromium
from tests.web.desk import site, words

SHOTS = Path(os.environ.get("SCREENSHOTS", "build/screenshots"))
SHOTS.mkdir(parents=True, exist_ok=True)
VIEW, OPERATE = "a-token-that-may-look-on", "a-token-that-may-operate"
WEB = f"""
[[web.tokens]]
name = "wallboard"
role = "view"
token = "{VIEW}"
[[web.tokens]]
name = "supervisor"
role = "operate"
token = "{OPERATE}"
"""
SAID = "() => [...document.querySelectorAll('.said')].map(n => [n.dataset.leg, n.querySelector('.text').textContent])"


async def sign_in(page: Page, url: str, token: str) -> None:
    await page.goto(url)
    await page.wait_for_selector("#sign-in[open]")
    await page.fill("#token", token)
    await page.click("#sign-in button[value=ok]")
    await page.wait_for_selector("#connection.on")


async def faults(page: Page) -> list[str]:
    found = (await Axe().run(page)).response["violations"]
    return [
        f"{item['id']}: {item['nodes'][0]['html'][:80]}" for item in found if item["impact"] in ("serious", "critical")
    ]


async def test_words_appear_while_they_are_spoken_and_a_cut_loses_none(tmp_path: Path, claim: Claim) -> None:
    lines = {
        "caller": ["w1", "w2", "w3", "-", "w4", "w5", "-", "w6", "w7", "w8", "-", "w9", "-", "w10", "w11"],
        "agent": ["-", "w101", "w102", "-", "w103", "-", "w104", "w105", "-", "-", "w106", "w107", "-", "w108"],
    }
    async with (
        recogniser() as port,
        GatewayProcess(tmp_path, asr=palatine(port), web=WEB) as gateway,
        chromium() as chrome,
        Wire(gateway.web_port) as wire,
    ):
        address = f"http://127.0.0.1:{wire.port}"
        errors: list[str] = []
        looker = await (await chrome.new_context(viewport={"width": 1280, "height": 800})).new_page()
        looker.on("pageerror", lambda error: errors.append(str(error)))
        await sign_in(looker, address, VIEW)
        context = await chrome.new_context(color_scheme="dark", viewport={"width": 1280, "height": 800})
        boss = await context.new_page()
        boss.on("dialog", lambda dialog: asyncio.ensure_future(dialog.accept()))
        await sign_in(boss, gateway.web, OPERATE)
        files = {leg: await say(tmp_path, leg, said) for leg, said in lines.items()}
        calling = [
            asyncio.create_task(
                call(gateway.sip, "--audio", str(path), "--leg", leg, "--call-id", "one", "--from", "74951234567")
            )
            for leg, path in files.items()
        ]
        for page in (looker, boss):
            await page.wait_for_selector(".row:not([hidden])", timeout=20_000)
            await page.locator(".row").first.click()
        await looker.wait_for_selector(".said", timeout=15_000)
        early = await looker.evaluate(SAID)
        claim("page: words are shown while the call is up", early, not any(task.done() for task in calling))
        buttons = await looker.locator("#call-actions button").all_text_contents()
        claim("page: a viewer is offered no operation", buttons, buttons == [])
        call_id = looker.url.rsplit("/", 1)[1]
        refused = await looker.evaluate(
            "([url, token]) => fetch(url, {method: 'POST', headers: {Authorization: 'Bearer ' + token}})"
            ".then(answer => answer.status)",
            [f"/api/v1/calls/{call_id}/hangup", VIEW],
        )
        claim("page: a viewer's own request to hang up is answered", refused, refused == 403)
        await looker.reload()
        await looker.wait_for_selector(".said")
        after = await looker.evaluate(SAID)
        claim("page: a reload loses no word", len(after), len(after) >= len(early))
        wire.down = True
        wire.cut()
        await looker.wait_for_selector("#connection.off")
        await asyncio.sleep(2.5)
        wire.down = False
        await looker.wait_for_selector("#connection.on", timeout=15_000)
        await looker.screenshot(path=SHOTS / "call-light.png")
        await boss.locator("#call-actions button", has_text="Pause transcription of agent").wait_for()
        await boss.screenshot(path=SHOTS / "call-dark.png")
        found = await faults(looker) + await faults(boss)
        await asyncio.gather(*calling)
        (done,) = await gateway.completed()
        await looker.wait_for_function("document.querySelector('#call-state').textContent.includes('ended')")
        await asyncio.sleep(1)
        shown = await looker.evaluate(SAID)
        wanted = [[words.leg, words.text] for words in done.completed.utterances]
        claim("page: after reload and cut the words are the transcript's, in order", len(shown), shown == wanted)
        both = {leg for leg, _ in shown}
        claim("page: both legs", sorted(both), both == {"caller", "agent"})
        claim("page: the stream went on by new connections", wire.connections, wire.connections > 2)
        for view, selector in (("past", "#results li"), ("system", "#engines td")):
            await boss.goto(f"{gateway.web}/#/{view}")
            await boss.wait_for_selector(selector)
            await boss.screenshot(path=SHOTS / f"{view}-dark.png")
            found += await faults(boss)
        await boss.goto(f"{gateway.web}/#/past/{call_id}")
        await boss.wait_for_selector(".said")
        narrow = await (await chrome.new_context(viewport={"width": 320, "height": 640}, locale="ru-RU")).new_page()
        await sign_in(narrow, gateway.web, VIEW)
        await narrow.screenshot(path=SHOTS / "list-narrow-ru.png")
        await narrow.goto(f"{gateway.web}/#/past/{call_id}")
        await narrow.wait_for_selector(".said")
        await narrow.screenshot(path=SHOTS / "call-narrow-ru.png", full_page=True)
        wide = await narrow.evaluate("document.documentElement.scrollWidth")
        claim("page: at 320 px nothing is wider than the screen", wide, wide <= 320)
        found += await faults(narrow)
        claim("page: serious faults that axe-core finds", found, not found)
        claim("page: script errors", errors, not errors)


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
        await page.wait_for_function("document.querySelector('#live-count').textContent === '500'")
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


async def test_fifty_viewers_of_two_hundred_calls(tmp_path: Path, claim: Claim) -> None:
    """The viewers run in a process of their own; its CPU does not count."""
    viewer = Path(__file__).with_name("viewers.py")
    async with site(tmp_path, tokens=False) as running:
        calls = [f"{number:08x}-0000-7000-8000-000000000000" for number in range(200)]
        for name in calls:
            running.tell(name, events.CallStarted(leg="caller", codec="alaw"))
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, str(viewer), f"{running.url}api/v1/stream", "50", "10"), stdout=asyncio.subprocess.PIPE
        )
        async with asyncio.timeout(20):
            while running.board.feed.viewers < 50:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        begun, cpu, told = time.monotonic(), time.process_time(), 0
        while time.monotonic() - begun < 8:
            for name in calls[told % 2 :: 2]:  # two events a second of each call
                running.tell(name, words(events.TranscriptPartial, f"w{told}", revision=told + 1))
            told += 1
            await asyncio.sleep(0.25)
        used = (time.process_time() - cpu) / (time.monotonic() - begun)
        output, _ = await asyncio.wait_for(process.communicate(), 30)
        report = json.loads(output)
        each = report["events"]
        whole = told * 100
        claim("fan-out: 50 viewers × 200 calls, events for each", min(each), min(each) == max(each) == whole)
        claim("fan-out: events a second in all", round(sum(each) / 8), sum(each) > 0)
        claim("fan-out: CPU of the gateway's process below half a core", f"{used:.0%}", used < 0.5)
        claim("fan-out: from event to viewer, p95 below 300 ms", f"{report['p95']:.0f} ms", report["p95"] < 300)


def test_the_page_has_all_texts_in_both_languages(claim: Claim) -> None:
    text = (Path(__file__).parents[3] / "gateway/web/static/texts.js").read_text(encoding="utf-8")
    english, russian = text.split("  ru: {")[0], text.split("  ru: {")[1].split("};")[0]
    keys = [set(re.findall(r"[{,\s](\w+): \"", part)) for part in (english, russian)]
    claim("page: texts in English and in Russian", len(keys[0]), keys[0] == keys[1])
