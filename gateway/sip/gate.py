"""The gate in the SIP stack (``deploy/pjsip/gate``): who is let in before any work is done, and what was kept out.

It is part of the build for work alone. On the quick build there is none: strangers are refused by
``gateway.sip.admission``, once the stack has parsed their INVITEs and given them a call; OPTIONS are answered to
anybody, and nothing is limited by its rate.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from gateway.sip.defence import Openness, Rules
from gateway.sip.events import Kept, Offence
from gateway.sip.stack import StartError, pj

MOST_REPORTS = 20
"""Offences that are told at once."""
TELL_SECONDS = 1.0


class Gate:
    """The gate, and what is to be told of it.

    Args:
        rules: The rules.
        open_to: From where peers may call.
        retry_after: Seconds that a 503 names.

    Raises:
        StartError: A rule is one that the gate does not take.
    """

    def __init__(self, rules: Rules, open_to: Openness, retry_after: int) -> None:
        self._stack: Any = pj if hasattr(pj, "gate_start") else None
        self._open_to = open_to
        self._retry_after = retry_after
        self._draining = self._full = False
        self._pinned: dict[int, str] = {}
        self._told: list[int] = []
        self._due = 0.0
        if self._stack is None:
            return
        self._stack.gate_reset()
        self._stack.gate_set_strangers(rules.strangers == "refuse", open_to.plain, open_to.tls)
        self._stack.gate_set_load(False, False, retry_after)
        self._stack.gate_set_rates(
            rules.messages_per_second,
            rules.unknown_messages_per_second,
            rules.peer_messages_per_second,
            rules.calls_per_second,
        )
        self._stack.gate_set_logins(rules.failed_logins, rules.block_seconds)
        for scanner in rules.scanners:
            if not self._stack.gate_add_scanner(scanner):
                raise StartError(f"sip.defence.scanners: {scanner!r}: at most 64 names of 1 to 47 bytes")
        self.let_in(())

    def start(self) -> None:
        """Puts it into the stack, which has been made.

        Raises:
            StartError: The stack does not take it.
        """
        if self._stack is not None and not self._stack.gate_start():
            raise StartError("pjsua2 does not take the gate; build it anew: make pjsip")

    def let_in(self, registrars: Iterable[object]) -> None:
        """Lets in the peers' networks, and the addresses of registrars that hold a registration.

        Raises:
            StartError: There are too many.
        """
        if self._stack is None:
            return
        self._stack.gate_clear_networks()
        networks = [(str(network.network_address), network.prefixlen) for network in self._open_to.networks]
        single = [(str(address), 128 if ":" in str(address) else 32) for address in registrars if address is not None]
        for address, bits in networks + single:
            if not self._stack.gate_add_network(address.partition("%")[0], bits):
                raise StartError(f"sip.peers: {address}/{bits}: more than 1024 networks; join some")

    def pin(self, dialog: int, call_id: str) -> None:
        """Lets in whatever belongs to a dialog, wherever it comes from, for as long as the dialog lives."""
        if self._stack is not None:
            self._pinned[dialog] = call_id
            self._stack.gate_pin(call_id)

    def unpin(self, dialog: int) -> None:
        """A dialog is over."""
        if (call_id := self._pinned.pop(dialog, None)) is not None:
            self._stack.gate_unpin(call_id)

    def proved(self, source: str) -> None:
        """A source, ``address:port``, has shown who it is: it counts as a peer's for an hour."""
        if self._stack is not None:
            self._stack.gate_proved(source)

    def failed(self, source: str) -> None:
        """A source has shown wrong credentials."""
        if self._stack is not None:
            self._stack.gate_failed(source)

    def load(self, *, full: bool) -> None:
        """Says whether as many calls are up as are taken."""
        if self._stack is not None and full != self._full:
            self._stack.gate_set_load(self._draining, full, self._retry_after)
        self._full = full

    def drain(self, retry_after: int) -> None:
        """Takes no new calls any more, and says so to who asks by OPTIONS.

        Args:
            retry_after: Seconds that a 503 names from now on.
        """
        self._draining, self._retry_after = True, retry_after
        if self._stack is not None:
            self._stack.gate_set_load(True, self._full, retry_after)

    def news(self, now: float) -> Iterator[Kept | Offence]:
        """Tells what was kept out since it was asked last, once a second at most.

        Args:
            now: Seconds on a clock that does not go back.
        """
        if self._stack is None or now < self._due:
            return
        self._due = now + TELL_SECONDS
        for _ in range(MOST_REPORTS):
            if not (report := self._stack.gate_next_report()):
                break
            cause, count, peer, agent = report.split(" ", 3)
            yield Offence(peer, cause, int(count), agent)
        counts: dict[str, int] = {}
        while name := self._stack.gate_cause(len(counts)):
            counts[name] = self._stack.gate_count(len(counts))
        before = self._told or [0] * len(counts)
        self._told = list(counts.values())
        more = {name: now - then for (name, now), then in zip(counts.items(), before, strict=True) if now > then}
        if more:
            yield Kept(more)
