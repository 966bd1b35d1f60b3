"""The live page in Debian's Chromium over a web side of its own: how it looks, by keyboard, past calls.

Pictures of every view go to ``build/screenshots``, or where the variable ``SCREENSHOTS`` says.
"""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

from gateway import events
from tests.peers.claims import Claim
from tests.web import showcase
from tests.web.browser import chromium
from tests.web.desk import Site, completed, site, words
from tests.web.pages import SHOTS, faults

CUT_SHORT = "01a200da-b155-7d21-9a01-5b2c3f0d1e42"
LOOKS: dict[str, dict[str, Any]] = {
    "light": {"viewport": {"width": 1280, "height": 800}},
    "dark": {"viewport": {"width": 1280, "height": 800}, "color_scheme": "dark"},
    "narrow-ru": {"viewport": {"width": 320, "height": 640}, "locale": "ru-RU"},
}


async def test_everything_is_shown_in_every_look(tmp_path: Path, claim: Claim) -> None:
    desk = showcase.Showcase()
    found: list[str] = []
    errors: list[str] = []
    widest = 0
    async with site(tmp_path, tokens=False, desk=desk, anonymous="operate") as running, chromium() as chrome:
        showcase.furnish(running, desk)
        await running.outbox.flush()
        ticking = asyncio.create_task(tick(running))
        views = {
            "list": ("live", ".row:not([hidden])"),
            "call": (f"live/{showcase.CALL}", ".said.partial"),
            "past": (f"past/{showcase.PAST}", ".said.refined"),
            "system": ("system", "#charts path"),
        }
        for look, options in LOOKS.items():
            page = await (await chrome.new_context(**options)).new_page()
            page.on("pageerror", lambda error: errors.append(str(error)))
            page.on("console", lambda said: errors.append(said.text) if said.type == "error" else None)
            for name, (view, selector) in views.items():
                await page.goto(f"{running.url}#/{view}")
                await page.locator(selector).first.wait_for()
                await page.wait_for_timeout(400)
                await page.screenshot(path=SHOTS / f"{name}-{look}.png", full_page="narrow" in look or name == "system")
                found += [f"{name} {look}: {fault}" for fault in await faults(page)]
                widest = max(widest, await page.evaluate("innerWidth === 320 && document.documentElement.scrollWidth"))
                if (name, look) == ("call", "narrow-ru"):
                    alone = not await page.locator("#view-live").is_visible()
                    claim("page: at 320 px a call has the screen to itself", alone, alone)
            if look != "light":
                continue
            await page.goto(f"{running.url}#/live/{showcase.CALL}")
            await page.locator(".said.partial").wait_for()
            kinds = await page.evaluate(
                "[...new Set([...document.querySelectorAll('#timeline rect')].map(r => r.classList[0].slice(5)))]"
            )
            wanted = {"received", "concealed", "pause", "comfort_noise", "dtmf", "hold", "withheld", "unrecognised"}
            claim("page: kinds of time in the ledger's timeline", len(kinds), set(kinds) == wanted | {"speech"})
            told = await page.locator("#timeline svg").first.get_attribute("aria-label")
            claim("page: the timeline in words, for screen readers", told, "hold 6.00 s" in str(told))
            notes = " ".join(await page.locator(".note").all_text_contents())
            said = [
                "is paused",
                "goes on",
                "is put on hold",
                "is back from hold",
                "presses 5",
                "no recogniser",
                "joins",
            ]
            claim("page: holds, pauses, keys and outages are told", notes[:40], all(text in notes for text in said))
            refined = await page.locator(".said.refined").all_text_contents()
            claim(
                "page: a refinement stands in its utterance's place",
                refined,
                ["447 192 8." in r for r in refined] == [True],
            )
            lags = await page.locator("#latency td:first-child").all_text_contents()
            claim("page: latencies of the call", lags, len(lags) == len(showcase.LATENCIES))
            moved = page.locator(
                '#legs .meter i[style*="scaleX"]:not([style*="scaleX(0)"]):not([style*="scaleX(0.00)"])'
            )
            await moved.first.wait_for(state="attached")
            meter = await moved.first.evaluate("bar => bar.style.transform")
            claim("page: level meters move", meter, "scaleX" in meter)
            await page.goto(f"{running.url}#/system")
            charts = await page.locator(".chart").count()
            claim("page: charts of the last hour", charts, charts == len(showcase.LATENCIES))
            states = await page.locator("#engines .badge, #endpoints .badge").all_text_contents()
            shown = ["works", "fails, left alone", "delivered 204", "refused 503"]
            claim("page: engines and webhooks at a glance", states, states == shown)
        ticking.cancel()
    claim("page: serious faults that axe-core finds in 12 views: light, dark, narrow", found, not found)
    claim("page: widest at 320 px", widest, widest == 320)
    claim("page: script errors and breaches of its content security policy", errors, not errors)


async def tick(running: Site) -> None:
    """Tells levels as the gateway does."""
    while True:
        running.board.tick()
        await asyncio.sleep(0.2)


async def test_past_calls_are_searched_and_saved(tmp_path: Path, claim: Claim) -> None:
    desk = showcase.Showcase()
    async with site(tmp_path, tokens=False, desk=desk) as running, chromium() as chrome:
        showcase.furnish(running, desk, calls=3)
        broken = completed().model_copy(update={"complete": False})
        for body in (events.CallStarted(leg="caller", codec="alaw"), broken):
            running.tell(CUT_SHORT, body)
        await running.outbox.flush()
        page = await chrome.new_page(viewport={"width": 1280, "height": 800})
        await page.goto(f"{running.url}#/past")
        counts = []
        for text in ("ROUTER", "said by nobody"):
            await page.fill("#search [name=text]", text)
            await page.keyboard.press("Enter")
            await page.locator("#found", has_text="1" if text == "ROUTER" else "Nothing").wait_for()
            counts.append(await page.locator("#results li").count())
        claim("page: past calls by their words: found, not found", counts, counts == [1, 0])
        await page.fill("#search [name=text]", "")
        await page.keyboard.press("Enter")
        await page.locator("#results li").first.wait_for()
        badges = await page.locator("#results .badge").all_text_contents()
        claim("page: which past calls' transcripts lack something", badges, badges == ["transcript incomplete"])
        await page.locator("#results button", has_text="88005550100").click()
        saved = {}
        for form in ("TEXT", "SRT", "VTT", "JSON"):
            async with page.expect_download() as waiting:
                await page.get_by_role("button", name=f"Download {form}").click()
            path = tmp_path / form
            await (await waiting.value).save_as(path)
            saved[form] = await asyncio.to_thread(path.read_text, "utf-8")
        whole = all("447 192 8." in text for text in saved.values())
        claim("page: downloads with the refined words", sorted(saved), whole and saved["VTT"].startswith("WEBVTT"))


async def test_by_keyboard_alone(tmp_path: Path, claim: Claim) -> None:
    desk = showcase.Showcase()
    async with site(tmp_path, tokens=False, desk=desk, anonymous="operate") as running, chromium() as chrome:
        showcase.furnish(running, desk, calls=30)
        page = await chrome.new_page(viewport={"width": 1280, "height": 800})
        page.on("dialog", lambda dialog: asyncio.ensure_future(dialog.accept()))
        await page.goto(running.url)
        await page.locator(".row:not([hidden])").first.wait_for()

        async def tab_to(wanted: str) -> bool:
            for _ in range(40):
                await page.keyboard.press("Tab")
                if await page.evaluate("wanted => document.activeElement.matches(wanted)", wanted):
                    return True
            return False

        reached = [await tab_to("#list")]
        for key in ("End", "Enter"):
            await page.keyboard.press(key)
        await page.locator("#call-title", has_text="74951234567").wait_for()
        reached += [await tab_to("#call-actions button:first-child")]
        await page.keyboard.press("Enter")
        reached += [await tab_to("#call-actions button.danger")]
        await page.keyboard.press("Enter")
        async with asyncio.timeout(10):
            while len(desk.told) < 2:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        acts = [("pause", showcase.CALL, "caller", True), ("hang_up", showcase.CALL)]
        claim(
            "page: by keyboard alone: list, call, pause, hang-up",
            desk.told,
            reached == [True] * 3 and desk.told == acts,
        )
        await page.keyboard.press("Escape")
        await page.locator("#call").wait_for(state="hidden")
        focus = await page.evaluate("document.activeElement.id")
        claim("page: Escape leads back to the list", focus, focus == "list")
        landmarks = await page.evaluate("[...document.querySelectorAll('header,nav,main,[role=search]')].length")
        live = await page.evaluate("[...document.querySelectorAll('[aria-live],[role=status],[role=log]')].length")
        claim("page: landmarks, live regions", f"{landmarks}, {live}", landmarks >= 4 and live >= 2)
        running.tell(showcase.CALL, words(events.TranscriptFinal, "read me out", utterance=99), number="74951234567")
        await page.locator(".row .words", has_text="read me out").wait_for()
        await page.goto(f"{running.url}#/live/{showcase.CALL}")
        await page.locator(".said").first.wait_for()
        running.tell(showcase.CALL, words(events.TranscriptPartial, "and", utterance=100), number="74951234567")
        await page.locator(".said.partial .text", has_text="and").last.wait_for()
        running.tell(
            showcase.CALL, words(events.TranscriptFinal, "and me", utterance=100, revision=2), number="74951234567"
        )
        await page.locator("#announcer", has_text="and me").wait_for(state="attached")
        heard = await page.locator("#announcer").text_content()
        claim("page: finals are read out once, partials and old words not", heard, heard == "caller: and me")


def test_the_page_has_all_texts_in_both_languages(claim: Claim) -> None:
    text = (Path(__file__).parents[2] / "gateway/web/static/texts.js").read_text(encoding="utf-8")
    english, russian = text.split("  ru: {")[0], text.split("  ru: {")[1].split("};")[0]
    keys = [set(re.findall(r"[{,\s](\w+): \"", part)) for part in (english, russian)]
    claim("page: texts in English and in Russian", len(keys[0]), keys[0] == keys[1])
