"""Who an INVITE comes from, and whether it is let in: peers, credentials, registrars."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gateway.sip.access import Access, Peer, address_of
from gateway.sip.account import GatewayAccount
from gateway.sip.commands import Setup
from gateway.sip.digest import Challenger
from gateway.sip.registration import RegisteredAccount
from gateway.sip.request import Request
from gateway.sip.sdp import Terms


@dataclass(frozen=True, slots=True)
class Admitted:
    """Let in.

    Attributes:
        peer: Name of the peer or the registration.
        terms: What it is answered.
        max_calls: Its dialogs at once; 0 for no limit of its own.
    """

    peer: str
    terms: Terms
    max_calls: int = 0


@dataclass(frozen=True, slots=True)
class Refusal:
    """Not let in.

    Attributes:
        code: The status.
        cause: As in ``messages.Refused``; empty for a first challenge, which is no refusal yet.
        headers: Of the answer.
    """

    code: int
    cause: str
    headers: tuple[tuple[str, str], ...] = ()


class Admission:
    """The peers of a setup, and the credentials that some of them must show.

    Args:
        setup: The peers.
        registrations: Calls are taken from the registrars that hold them, whomever they are for: a trunk that is
            registered brings many numbers.

    Raises:
        ValueError: A network of a peer is none.
    """

    def __init__(self, setup: Setup, registrations: Sequence[RegisteredAccount] = ()) -> None:
        self._registrations = registrations
        self._access = Access(Peer(**peer) for peer in setup.peers)
        self._challenger = Challenger(setup.realm)

    def judge(
        self, request: Request, source: str, subjects: list[str], account: GatewayAccount, now: float
    ) -> Admitted | Refusal:
        """Judges an INVITE.

        Args:
            request: The INVITE.
            source: Where it came from, ``address:port``.
            subjects: Names in the verified certificate of its TLS connection.
            account: Whom the stack takes it to be for.
            now: Seconds on a clock that does not go back.
        """
        credentials = request.headers.get("authorization", [])

        def proves(peer: Peer) -> bool:
            return any(
                self._challenger.proves(
                    value,
                    method=request.method,
                    uri=request.uri,
                    username=peer.username,
                    password=peer.password,
                    now=now,
                )
                for value in credentials
            )

        verdict = self._access.judge(source, subjects, proves if credentials else None)
        if verdict.peer is not None:
            return Admitted(verdict.peer.name, verdict.peer.terms, verdict.peer.max_calls)
        address = address_of(source)
        senders = [registered for registered in self._registrations if registered.sent_by(address)]
        if senders:
            # two extensions at one registrar: the stack knows by the request URI which is meant
            found = next((registered for registered in senders if registered is account), senders[0])
            return Admitted(found.registration.name, found.registration.terms)
        if verdict.challenge:
            lines = (("WWW-Authenticate", value) for value in self._challenger.challenges(now))
            return Refusal(401, "unauthorized" if credentials else "", tuple(lines))
        return Refusal(403, "unknown_peer")
