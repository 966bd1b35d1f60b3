"""The settings of utterances."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from gateway.section import Section


class Transcripts(Section):
    """Utterances.

    Attributes:
        pause_ms: A pause of speech this long ends an utterance.
        settle_ms: An utterance is final when, after the pause, the engine says the same text again, or nothing for
            so long.
        max_utterance_seconds: A longer one is cut at its best pause.
    """

    pause_ms: Annotated[int, Field(ge=100)] = 700
    settle_ms: Annotated[int, Field(ge=0)] = 1500
    max_utterance_seconds: Annotated[float, Field(ge=2)] = 30.0
