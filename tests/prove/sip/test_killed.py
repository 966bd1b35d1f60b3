"""The SIP stack crashes with fifty calls up."""

from __future__ import annotations

from pathlib import Path

from tests.integration.test_signalling_killed import killed
from tests.peers.claims import Claim


async def test_fifty_calls_keep_their_words(tmp_path: Path, claim: Claim) -> None:
    await killed(tmp_path, claim, calls=50, words=20)
