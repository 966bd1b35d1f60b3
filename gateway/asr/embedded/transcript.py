"""The text of one session: segments that are final, and the one that may still change."""

from __future__ import annotations


class Transcript:
    """Accumulates the text of a session, segment by segment."""

    def __init__(self) -> None:
        self._finals: list[str] = []
        self._open = ""
        self._shown: list[str] = []

    @property
    def full_text(self) -> str:
        """The finals and the open segment's text, joined by single spaces."""
        return " ".join(filter(None, [*self._finals, self._open]))

    def partial(self, text: str) -> None:
        """Replaces the text of the open segment."""
        self._open = " ".join(text.split())

    def final(self, text: str) -> None:
        """Ends the open segment with its last text; a new one opens."""
        if words := text.split():
            self._finals.append(" ".join(words))
        self._open = ""

    def change(self) -> tuple[str, str] | None:
        """Returns what is new since the last call.

        Returns:
            The words from the first one that differs from the text last returned, and the full text; None where the
            full text is the same.
        """
        full_text = self.full_text
        words = full_text.split()
        if words == self._shown:
            return None
        same = 0
        for old, new in zip(self._shown, words, strict=False):
            if old != new:
                break
            same += 1
        self._shown = words
        return " ".join(words[same:]), full_text
