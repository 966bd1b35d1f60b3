"""Who is told about a leg's recognition, and the account at its end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from gateway.asr.engine import Failure, Final, Partial, Refinement


@dataclass(frozen=True, slots=True)
class Summary:
    """What became of the leg's audio at the recogniser.

    Each number is counted where it happens: ``sent + skipped + missed`` is what the leg fed, if nothing went astray.

    Attributes:
        sent: Samples that were written to a session, each counted once however often it was replayed.
        skipped: Samples that were not, because nobody spoke in them and the session was closed meanwhile.
        missed: Samples that no session got though words may be in them: none took them in time.
        unrecognised: Samples whose words are missing, as far as the gateway can know.
        recognised_seconds: Seconds accounted for by the engine; None when it gave no account.
        failure: Why recognition ended early; None when it did not.
    """

    sent: int
    skipped: int
    missed: int
    unrecognised: int
    recognised_seconds: float | None
    failure: Failure | None


class Observer(Protocol):
    """Who is told about a leg's recognition; all positions are samples on the leg's clock."""

    def asr_started(self, engine: str, origin: int, *, continues: bool) -> None:
        """A new engine session speaks from now on: text starts afresh.

        Args:
            engine: The engine's name.
            origin: First sample of which it says something new; where sessions overlap, it hears a little before it.
            continues: Whether the session before it was read to its end (roll-over, idle): what it said is final then.
                Otherwise what was not final is void, and will be said again where it could be kept.
        """

    def asr_text(self, partial: Partial) -> None:
        """The engine changed its text."""

    def asr_final(self, final: Final) -> None:
        """The engine ended an utterance; its index counts on over all sessions of the leg."""

    def asr_refined(self, refinement: Refinement) -> None:
        """The engine has a nicer text for an utterance, which it names by the index of its ``Final``."""

    def asr_written(self, arrived: int) -> None:
        """Live audio has just been written to the engine.

        Args:
            arrived: When its last packet arrived, monotonic nanoseconds.
        """

    def asr_degraded(self, failure: Failure, *, engine: str, retrying: bool) -> None:
        """The engine session was lost, or could not be opened. Told once until it recovers or is given up."""

    def asr_recovered(self, engine: str, lost: int) -> None:
        """There is a session again.

        Args:
            engine: Whose; another one than before after a failover.
            lost: Samples given up meanwhile.
        """

    def asr_unrecognised(self, first: int, end: int) -> None:
        """The words of these samples are missing: the audio could not be kept, or no engine took it."""

    def asr_done(self, summary: Summary) -> None:
        """Recognition is over; nothing comes after this."""
