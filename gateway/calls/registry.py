"""All the calls that are not over, and which of them a new dialog joins."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator

from gateway import events
from gateway.calls.call import Call, Watcher
from gateway.calls.identity import Identity
from gateway.media.recording import Recorder


class Registry:
    """Finds the call of a dialog, or makes it.

    Args:
        publish: Takes the events of all calls.
        watcher: Told of latencies.
        recorder: Records calls; None for no recording.
        concealed: Whether lost audio is concealed.

    Attributes:
        idle: Set while there is no call.
    """

    def __init__(
        self,
        publish: Callable[[events.Event], None],
        watcher: Watcher,
        *,
        recorder: Recorder | None = None,
        concealed: bool = True,
    ) -> None:
        self._publish = publish
        self._watcher = watcher
        self._recorder = recorder
        self._concealed = concealed
        self._calls: dict[str, Call] = {}
        self._by_key: dict[str, Call] = {}
        self.idle = asyncio.Event()
        self.idle.set()

    def __len__(self) -> int:
        return len(self._calls)

    def __iter__(self) -> Iterator[Call]:
        return iter(list(self._calls.values()))

    def get(self, call: str) -> Call | None:
        """Returns the call with an id; None where it is over."""
        return self._calls.get(call)

    def call_for(self, identity: Identity) -> Call:
        """Returns the call that a dialog belongs to; a new one where its key names none that can still be joined."""
        call = self._by_key.get(identity.key) if identity.key else None
        if call is None or call.ended:
            call = Call(
                identity,
                self._publish,
                self._watcher,
                self._done,
                recorder=self._recorder,
                concealed=self._concealed,
            )
            self._calls[call.id] = call
            self.idle.clear()
            if identity.key:
                self._by_key[identity.key] = call
        return call

    def _done(self, call: Call) -> None:
        self._calls.pop(call.id, None)
        if self._by_key.get(call.key) is call:
            del self._by_key[call.key]
        if not self._calls:
            self.idle.set()
