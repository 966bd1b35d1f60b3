"""How the demo shows a transcript that grows: partials in place, finals kept, a colour for each leg."""

from __future__ import annotations

from types import TracebackType

from rich.console import Console
from rich.live import Live
from rich.text import Text

from gateway import events

COLOURS = ("cyan", "magenta", "green", "yellow")


class View:
    """Shows the events of calls as they arrive; only finals where the console is not a terminal.

    Args:
        console: Where it is shown.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._open: dict[tuple[str, str], Text] = {}
        self._colours: dict[str, str] = {}
        self._live: Live | None = None

    def __enter__(self) -> View:
        if self._console.is_terminal:
            self._live = Live(console=self._console, refresh_per_second=10, transient=True)
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    def show(self, event: events.Event) -> None:
        """Takes the next event."""
        match event.data:
            case events.TranscriptPartial() as words:
                self._open[event.call.id, words.leg] = self._line(words, style="dim italic")
            case events.TranscriptFinal() as words:
                self._open.pop((event.call.id, words.leg), None)
                self._console.print(self._line(words))
            case events.TranscriptRefined() as words:
                self._console.print(self._line(words, mark="corrected: "))
            case events.AsrDegraded() as fault:
                self._console.print(f"[red]{fault.leg}: recogniser lost: {fault.text}[/]")
            case events.CallStarted() | events.CallUpdated() | events.CallEnded() as change:
                what = change.change if isinstance(change, events.CallUpdated) else change.type
                self._console.print(f"[dim]{getattr(change, 'leg', 'call')}: {what.replace('_', ' ')}[/]")
        if self._live is not None:
            self._live.update(Text("\n").join(self._open.values()))

    def _line(self, words: events.Words, *, style: str = "", mark: str = "") -> Text:
        colour = self._colours.setdefault(words.leg, COLOURS[len(self._colours) % len(COLOURS)])
        line = Text(f"{words.start_ms / 1000:6.1f} s  ", style="dim")
        line.append(f"{words.leg:7} ", style=f"bold {colour}")
        return line.append(mark + words.text, style=style or colour)
