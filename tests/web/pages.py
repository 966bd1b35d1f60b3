"""What the proofs of the page share: signing in, what a page shows, what axe-core finds, where pictures go."""

from __future__ import annotations

import os
from pathlib import Path

from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Page

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
