"""The property of every stream, with many more examples than the suite takes, and the captures of real devices."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings

from gateway.media.capture import streams
from tests.media.test_capture import CAPTURES, payloads
from tests.media.test_stream_properties import calls
from tests.media.test_stream_properties import test_bytes_come_out_where_they_were as exact
from tests.peers.claims import Claim

EXAMPLES = 4000


def test_any_interleaving_comes_out_sample_exact(claim: Claim) -> None:
    inner = exact.hypothesis.inner_test  # type: ignore[attr-defined]
    settings(max_examples=EXAMPLES, deadline=None)(given(calls())(lambda call: inner(call)))()
    claim("loss, copies, reordering, pauses, ptime: streams sample-exact and tiled", f"{EXAMPLES:,}", True)


@pytest.mark.parametrize("path", CAPTURES, ids=lambda path: path.stem)
def test_captures(path: Path, claim: Claim) -> None:
    (found,) = streams(path)
    sent = b"".join(payload for *_, payload in payloads(path))
    heard = b"".join(chunk.payload for chunk in found.chunks)
    found.timeline.verify()
    claim(f"capture {path.stem}: bytes out = bytes in", f"{len(heard):,}", heard == sent)
