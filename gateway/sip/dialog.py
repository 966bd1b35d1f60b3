"""One dialog of the signalling process: what was asked of it, what was negotiated, and how it ended."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from gateway.sip.messages import Ended, Established, Media
from gateway.sip.sdes import SUITES, new_key
from gateway.sip.sdp import PLAIN, Answer, Negotiated, SdpError, Terms, answer, make_offer, parse, removed


@dataclass(slots=True)
class Dialog:
    """A dialog's state, without I/O.

    Attributes:
        number: On the link.
        address: Our RTP address in SDP; before ``accept`` it stands only in drafts that are never sent.
        port: Our RTP port; likewise (9 is the discard service).
        established: The ACK came.
        terms: What its peer is answered.
    """

    number: int
    address: str = "127.0.0.1"
    port: int = 9
    established: bool = False
    terms: Terms = PLAIN
    _version: int = 0
    _negotiated: Negotiated | None = None
    _asked: str = ""
    _ended: bool = False
    _keys: list[str] = field(default_factory=list)
    _peer_srtp: dict[str, str] = field(default_factory=dict)

    def accept(self, address: str, port: int) -> None:
        """Notes where RTP is to go."""
        self.address, self.port = address, port

    def ask(self, reason: str) -> bool:
        """Notes that we end the dialog.

        Args:
            reason: ``hangup`` or ``refused``.

        Returns:
            False when it is ending or over already.
        """
        if self._asked or self._ended:
            return False
        self._asked = reason
        return True

    def answer_to(self, offer: str) -> str:
        """Returns our answer; what it negotiates holds once ``media`` is asked for.

        Raises:
            SdpError: There is no answer to this offer.
        """
        ours: Answer = answer(
            offer,
            address=self.address,
            ports=[self.port],
            session=self.number,
            version=self._next(),
            terms=self.terms,
            keys=self._own_keys(),
        )
        self._negotiated = ours.streams[0] if ours.streams else removed()
        return ours.text

    def check(self, offer: str) -> None:
        """Tells whether an offer could be answered, without changing anything.

        Raises:
            SdpError: It could not.
        """
        answer(
            offer,
            address=self.address,
            ports=[self.port],
            session=0,
            version=0,
            terms=self.terms,
            keys=self._own_keys(),
        )

    def offer(self) -> str:
        """Returns our own offer, for an INVITE without one.

        Raises:
            SdpError: The address is not numeric.
        """
        self._negotiated = None
        return make_offer(
            address=self.address,
            port=self.port,
            session=self.number,
            version=self._next(),
            terms=self.terms,
            keys=self._own_keys(),
        )

    def take(self, negotiated: Negotiated) -> None:
        """Notes what the peer's answer to our own offer says."""
        if self._negotiated is None:
            self._negotiated = replace(negotiated, srtp=self._peer_srtp)

    @property
    def offered(self) -> bool:
        """True while our own offer awaits its answer."""
        return self._version > 0 and self._negotiated is None

    @property
    def keyless(self) -> bool:
        """True while the peer's key, which stands in its ACK, is not known (an INVITE without an offer)."""
        return self.offered and self.terms.srtp == "required" and not self._peer_srtp

    def media(self) -> Media:
        """Returns the event for what was negotiated last.

        Raises:
            SdpError: Nothing was.
        """
        if (now := self._negotiated) is None:
            raise SdpError("no offer was answered")
        return Media(
            dialog=self.number,
            codecs={str(pt): codec for pt, codec in now.codecs.items()},
            telephone_event=now.telephone_event,
            comfort_noise=now.comfort_noise,
            remote_address=now.remote_address,
            remote_port=now.remote_port,
            held=now.held,
            srtp=now.srtp,
            sends=now.sends,
        )

    def confirmed(self) -> Established | None:
        """Notes the ACK; returns the event, once."""
        if self.established or self._ended:
            return None
        self.established = True
        return Established(self.number)

    def ended(self, code: int, text: str, *, bye: bool) -> Ended | None:
        """Notes the end.

        Args:
            code: The last status code, 0 for none.
            text: Its reason phrase.
            bye: The peer sent BYE.

        Returns:
            The event; None when it was told before.
        """
        if self._ended:
            return None
        self._ended = True
        reason = self._asked
        if bye:
            reason = reason or "bye"
        elif not reason:
            reason = "cancel" if code == 487 and not self.established else "failed"
        return Ended(self.number, reason, code, text)

    def keys_from(self, sdp: str) -> None:
        """Notes the peer's SRTP key in its answer to our own offer, where SRTP is required.

        Raises:
            SdpError: There is none.
        """
        stream = next((stream for stream in parse(sdp) if stream.kind == "audio"), None)
        if stream is None or not stream.crypto:
            raise SdpError("the answer to our offer of SRTP has no key")
        chosen = stream.crypto[0]
        local = dict(zip(SUITES, self._own_keys(), strict=True))[chosen.suite]
        self._peer_srtp = {"suite": chosen.suite, "remote": chosen.key, "local": local}

    def _own_keys(self) -> list[str]:
        """Our keys keep through the dialog, so that a re-INVITE changes none."""
        if not self._keys and self.terms.srtp != "off":
            self._keys = [new_key() for _ in SUITES]
        return self._keys

    def _next(self) -> int:
        self._version += 1
        return self._version
