"""The live page while two people talk: sipp with recorded speech, the embedded recogniser, Debian's Chromium."""

from __future__ import annotations

import asyncio
import statistics
from datetime import timedelta
from pathlib import Path

import pytest

from tests.peers.claims import Claim
from tests.peers.gateway import GatewayProcess
from tests.peers.words import wer
from tests.prove.live.dialogue import LEGS, choose, perform, rehearse
from tests.prove.live.stage import Wire
from tests.web.browser import chromium
from tests.web.pages import OPERATE, SAID, SHOTS, VIEW, WEB, faults, sign_in

TURNS = 10
# Notes when which words were on the page first.
NOTE = """() => {
  window.seen = {};
  const look = () => {
    for (const said of document.querySelectorAll('.said')) {
      const text = said.querySelector('.text').textContent;
      const had = (window.seen[`${said.dataset.leg}-${said.dataset.utterance}`] ??= []);
      if (had.at(-1)?.[1] !== text) had.push([Date.now(), text]);
    }
  };
  new MutationObserver(look).observe(document.querySelector('#transcript'),
    { childList: true, subtree: true, characterData: true });
}"""


@pytest.mark.timeout(240)
async def test_words_appear_while_they_are_spoken_and_a_cut_loses_none(tmp_path: Path, claim: Claim) -> None:
    audio, turns = rehearse(choose(TURNS))
    async with (
        GatewayProcess(tmp_path, web=WEB, settings='[calls]\nheaders = ["X-Queue"]\n') as gateway,
        chromium() as chrome,
        Wire(gateway.web_port) as wire,
    ):
        errors: list[str] = []
        looker = await (await chrome.new_context(viewport={"width": 1280, "height": 800})).new_page()
        boss = await (await chrome.new_context(color_scheme="dark", viewport={"width": 1280, "height": 800})).new_page()
        for page in (looker, boss):
            page.on("pageerror", lambda error: errors.append(str(error)))
        await sign_in(looker, f"http://127.0.0.1:{wire.port}", VIEW)
        await sign_in(boss, gateway.web, OPERATE)
        calling = asyncio.create_task(perform(gateway.sip, tmp_path, audio, "74951234567"))
        for page in (looker, boss):
            await page.wait_for_selector(".row:not([hidden])", timeout=20_000)
            await page.locator(".row").first.click()
        await boss.wait_for_selector("#call:not([hidden])")
        await boss.evaluate(NOTE)
        await looker.wait_for_selector(".said", timeout=30_000)
        early = await looker.evaluate(SAID)
        claim("page: words are shown while the call is up", early[:1], not calling.done())
        buttons = await looker.locator("#call-actions button").all_text_contents()
        claim("page: a viewer is offered no operation", buttons, buttons == [])
        call_id = looker.url.rsplit("/", 1)[1]
        for path in ("hangup", "legs/caller/pause", "legs/caller/resume"):
            status = await looker.evaluate(
                "([url, token]) => fetch(url, {method: 'POST', headers: {Authorization: 'Bearer ' + token}})"
                ".then(answer => answer.status)",
                [f"/api/v1/calls/{call_id}/{path}", VIEW],
            )
            claim(f"page: a viewer's own request to {path} is answered", status, status == 403)
        await looker.reload()
        await looker.wait_for_selector(".said")
        after = await looker.evaluate(SAID)
        claim("page: utterances before and after a reload", f"{len(early)}, {len(after)}", len(after) >= len(early))
        await boss.locator(".said.second").first.wait_for(timeout=30_000)
        wire.down = True
        wire.cut()
        await looker.wait_for_selector("#connection.off")
        await asyncio.sleep(4)
        wire.down = False
        await looker.wait_for_selector("#connection.on", timeout=15_000)
        await boss.locator(".said.partial").first.wait_for(timeout=20_000)
        await looker.screenshot(path=SHOTS / "spoken-light.png")
        await boss.screenshot(path=SHOTS / "spoken-dark.png")
        await calling
        (done,) = await gateway.completed()
        assert done.completed is not None
        wanted = [[said.leg, said.text] for said in done.completed.utterances]
        shown = []
        for page in (looker, boss):
            await page.locator("#call-state", has_text="complete").wait_for(timeout=15_000)
            shown.append(await page.evaluate(SAID))
        claim("page: after reload and cut, the transcript's utterances in order", len(shown[0]), shown[0] == wanted)
        claim("page: likewise on a page that was never cut", len(shown[1]), shown[1] == wanted)
        both = {leg for leg, _ in shown[0]}
        claim("page: both legs", sorted(both), both == set(LEGS))
        heard = " ".join(text for _, text in shown[0])
        rate = wer(" ".join(turn.text for turn in turns), heard)
        claim(f"page: words of {TURNS} recorded prompts, error rate below 15 %", f"{rate:.1%}", rate < 0.15)
        claim("page: the stream went on by new connections", wire.connections, wire.connections > 2)
        seen = await boss.evaluate("window.seen")
        begun, ahead, grown = [], 0, 0
        for said in done.completed.utterances:
            times = seen[f"{said.leg}-{said.utterance}"]
            ended = said.time + timedelta(milliseconds=said.end_ms - said.start_ms)
            begun.append(times[0][0] / 1000 - said.time.timestamp())
            ahead += times[0][0] / 1000 < ended.timestamp()
            grown += len(times) > 1
        count = len(begun)
        claim("page: utterances whose words were shown before the speaker had ended them, 9 of 10",
              f"{ahead} of {count}", ahead >= 0.9 * count)  # fmt: skip
        claim("page: utterances that grew in their place", f"{grown} of {count}", grown >= 0.9 * count)
        middle = statistics.median(begun)
        claim("page: from the start of speech to its first words on the page, median below 2 s",
              f"{middle:.2f} s", middle < 2)  # fmt: skip
        badges = await boss.locator("#call-facts li").all_text_contents()
        claim("page: the chosen headers of the call", badges, any("support" in badge for badge in badges))
        rows = await boss.locator("#quality td").all_text_contents()
        claim("page: quality of both legs", rows[:6], {"alaw", "mulaw"} <= set(rows))
        found = await faults(looker) + await faults(boss)
        claim("page: serious faults that axe-core finds during and after a call", found, not found)
        claim("page: script errors", errors, not errors)
