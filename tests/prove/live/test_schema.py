"""schemathesis against the published OpenAPI document: no 5xx, no answer that the document does not know."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from gateway import events
from tests.peers.claims import Claim
from tests.web.desk import TOKENS, completed, site, words

CALL = "01a200da-b142-7304-a95f-bc583c0be9a3"
CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"


async def test_schemathesis_finds_nothing(tmp_path: Path, claim: Claim) -> None:
    async with site(tmp_path) as running:
        said = words(events.TranscriptFinal, "hello")
        for body in (events.CallStarted(leg="caller", codec="alaw"), said, completed(said)):
            running.tell(CALL, body)
        await running.outbox.flush()
        process = await asyncio.create_subprocess_exec(
            *(str(Path(sys.executable).with_name("schemathesis")), "run", f"{running.url}api/v1/openapi.json"),
            *("--header", f"Authorization: Bearer {TOKENS['admin']}", "--checks", CHECKS, "--seed", "1"),
            # a stream has no end that a test could wait for; tests/web/test_api.py reads it
            *("--exclude-path-regex", "stream$", "--max-examples", "40", "--phases", "examples,coverage,fuzzing"),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            cwd=tmp_path,
        )
        output, _ = await asyncio.wait_for(process.communicate(), 170)
    text = output.decode()
    cases = [line.strip() for line in text.splitlines() if "generated" in line or "cases" in line.lower()]
    claim("API: schemathesis: server errors and answers against the document", cases[-1:], process.returncode == 0)
    assert process.returncode == 0, text[-6000:]
