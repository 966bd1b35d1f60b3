"""Registration as an extension: one account a registration, several registrars to turn to (RFC 3261, section 10)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from gateway.sip.access import address_of
from gateway.sip.account import AccountOwner, GatewayAccount, account_config
from gateway.sip.commands import Setup
from gateway.sip.events import Registered
from gateway.sip.request import clean
from gateway.sip.sdp import Terms
from gateway.sip.stack import guarded, pj

RETRY_SECONDS = 10
"""How long after all registrars failed the first is tried again."""


@dataclass(frozen=True, slots=True)
class Registration:
    """One extension.

    Attributes:
        name: For logs and events.
        registrars: URIs as ``sip:pbx.example.org;transport=tcp``, the preferred one first.
        username: The extension, and who authenticates.
        password: By digest.
        domain: Of the address of record; empty for the host of the first registrar.
        expires_seconds: Asked for; what the registrar grants holds.
        srtp: As a peer's.
        direction: As a peer's.
    """

    name: str
    registrars: tuple[str, ...]
    username: str
    password: str
    domain: str = ""
    expires_seconds: int = 300
    srtp: str = "off"
    direction: str = "recvonly"

    @property
    def terms(self) -> Terms:
        """What calls that come by its registrars are answered."""
        return Terms(self.srtp, sends=self.direction == "sendrecv")  # type: ignore[arg-type]

    @property
    def identity(self) -> str:
        """The address of record."""
        host = self.registrars[0].partition(":")[2].partition(";")[0]
        return f"sip:{self.username}@{self.domain or host}"


class RegisteredAccount(GatewayAccount):
    """A registration on the stack, which refreshes it before it ends.

    Where a registrar does not answer or refuses, the next one is turned to at once; after the last, the first again,
    ``RETRY_SECONDS`` later.

    Attributes:
        registration: What it registers.
        registrar: The URI that is in use.
        holds: Whether the registrar has accepted it.
        source: The address of the registrar that did, once one has.
    """

    def __init__(self, agent: AccountOwner, registration: Registration, setup: Setup) -> None:
        super().__init__(agent)
        self.registration = registration
        self.registrar = registration.registrars[0]
        self.holds = False
        self.source: object = None
        self._leaving = False
        self._turn = 0
        self._setup = setup

    def begin(self) -> None:
        """Sends the first REGISTER."""
        self.create(self._config(self.registrar))

    def sent_by(self, address: object) -> bool:
        """Tells whether an address is that of the registrar that holds the registration: calls come from there."""
        return address is not None and address == self.source

    def leave(self) -> None:
        """Unregisters, once."""
        if self.holds and not self._leaving:
            self.setRegistration(False)
        self._leaving = True

    @guarded
    def onRegState(self, prm: Any) -> None:  # noqa: N802
        """A REGISTER was answered, or not."""
        self.holds = prm.code // 100 == 2 and prm.expiration > 0
        if self.holds:
            self.source = address_of(prm.rdata.srcAddress)
            self.agent.registered()
        registered = Registered(
            self.registration.name, self.registrar, prm.code, clean(prm.reason), prm.expiration if self.holds else 0
        )
        self.agent.send(registered)
        if prm.code // 100 != 2 and not self._leaving:
            self.agent.later(0 if self._next() else RETRY_SECONDS, self._try)

    def _next(self) -> bool:
        """Turns to the next registrar; returns False when it is the first again."""
        registrars = self.registration.registrars
        self._turn = (self._turn + 1) % len(registrars)
        self.registrar = registrars[self._turn]
        return self._turn > 0

    def _try(self) -> None:
        if not self._leaving:
            self.modify(self._config(self.registrar))

    def _config(self, registrar: str) -> Any:
        wanted = self.registration
        config = account_config(self._setup)
        config.idUri = wanted.identity
        config.regConfig.registrarUri = registrar
        config.regConfig.timeoutSec = wanted.expires_seconds
        config.regConfig.delayBeforeRefreshSec = max(1, min(30, wanted.expires_seconds // 10))
        # failures are ours to handle: pjsua knows one registrar only
        config.regConfig.retryIntervalSec = config.regConfig.firstRetryIntervalSec = 0
        config.regConfig.disableRegOnModify = False
        config.sipConfig.authCreds.append(pj.AuthCredInfo("digest", "*", wanted.username, 0, wanted.password))
        config.natConfig.contactRewriteUse = 0
        return config
