"""One dialog of the signalling process: what was asked of it, what was negotiated, and how it ended."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace

from gateway.sip.events import Ended, Established, Media, StreamMedia
from gateway.sip.sdes import SUITES, new_key
from gateway.sip.sdp import PLAIN, Answer, Negotiated, SdpError, Stream, Terms, answer, make_offer, parse, removed

MOST_STREAMS = 8
"""``m=`` lines of one offer; the stack holds twice as many (``gateway.sip.stack``)."""
_DRAFT_PORT = 9
"""In drafts that are never sent: the discard service."""
_VERSION = re.compile(r"^(o=\S+ \S+ )\d+", re.MULTILINE)


@dataclass(slots=True)
class Dialog:
    """A dialog's state, without I/O.

    Attributes:
        number: On the link.
        recording: All audio streams of the peer are received (SIPREC), of other peers' the first alone.
        address: Our RTP address in SDP; before ``accept`` it stands only in drafts that are never sent.
        established: The ACK came.
        to_tag: Our own tag, as far as a response has shown it.
        terms: What its peer is answered.
    """

    number: int
    recording: bool = False
    address: str = "127.0.0.1"
    established: bool = False
    to_tag: str = ""
    terms: Terms = PLAIN
    _accepted: bool = False
    _version: int = 0
    _text: str = ""
    _negotiated: tuple[Negotiated, ...] | None = None
    _before: tuple[Negotiated, ...] = ()
    _ports: dict[int, int] = field(default_factory=dict)  # by m= line
    _spare: list[int] = field(default_factory=list)
    _both_ways: set[int] = field(default_factory=set)  # m= lines on which the peer has listened, too
    _asked: str = ""
    _ended: bool = False
    _keys: dict[int, str] = field(default_factory=dict)  # our SRTP keys, by port
    _offered_keys: list[str] = field(default_factory=list)  # of our own offer, one a suite
    _peer_srtp: dict[str, str] = field(default_factory=dict)

    def accept(self, address: str, ports: list[int]) -> None:
        """Notes where RTP is to go.

        Args:
            address: Ours.
            ports: One for each stream, and what is to spare.
        """
        self.address = address
        self._accepted = True
        self._spare += ports

    def spare(self, ports: list[int]) -> None:
        """Takes ports for streams that the peer may add."""
        self._spare += ports

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

    def streams(self, offer: str) -> int:
        """Returns how many of an offer's audio streams we take.

        Raises:
            SdpError: There is no answer to this offer.
        """
        return len(self._draft(offer).streams)

    def answer_to(self, offer: str) -> str:
        """Returns our answer; what it negotiates holds once ``media`` is asked for.

        Raises:
            SdpError: There is no answer to this offer.
        """
        offered = parse(offer)
        ports = self._assigned(offered)
        ours: Answer = answer(
            offer,
            address=self.address,
            ports=ports,
            session=self.number,
            version=self._next(),
            terms=self.terms,
            keys=self._own_keys(ports),
        )
        if self._ports:
            self._text = ours.text
        self._negotiated = tuple(
            self._held(stream, offered[stream.index]) for stream in ours.streams if stream.index in self._ports
        )
        return ours.text

    def check(self, offer: str) -> None:
        """Tells whether an offer could be answered, without changing anything.

        Raises:
            SdpError: It could not.
        """
        self._draft(offer)

    def offer(self) -> str:
        """Returns our own offer, for an INVITE without one, or a re-INVITE, which gets again what holds already.

        Raises:
            SdpError: The address is not numeric.
        """
        version = self._next()
        if self._text:
            self._before, self._negotiated = self._negotiated or (), None
            self._text = _VERSION.sub(rf"\g<1>{version}", self._text, count=1)
            return self._text
        self._negotiated = None
        port = _DRAFT_PORT
        if self._accepted:
            port = self._ports[0] = self._spare.pop(0)
        self._offered_keys = [new_key() for _ in SUITES] if self.terms.srtp == "required" else []
        text = make_offer(
            address=self.address,
            port=port,
            session=self.number,
            version=version,
            terms=self.terms,
            keys=self._offered_keys,
        )
        self._text = text if self._accepted else ""
        return text

    def take(self, answered: dict[int, Negotiated]) -> None:
        """Notes what the peer's answer to our own offer says.

        Args:
            answered: By ``m=`` line.
        """
        if self._negotiated is not None:
            return
        known = {stream.index: stream for stream in self._before}
        taken = []
        for index, stream in sorted(answered.items()):
            if (before := known.get(index)) is not None:
                # our offer again holds only what the peer had offered: its payload types, labels, keys and mux stay
                taken.append(
                    replace(
                        stream,
                        codecs=before.codecs,
                        comfort_noise=before.comfort_noise,
                        label=before.label,
                        rtcp_mux=before.rtcp_mux,
                        srtp=before.srtp,
                    )
                )
            elif index in self._ports:
                taken.append(replace(stream, srtp=self._peer_srtp))
        self._negotiated = tuple(taken)

    @property
    def offered(self) -> bool:
        """True while our own offer awaits its answer."""
        return self._version > 0 and self._negotiated is None

    @property
    def keyless(self) -> bool:
        """True while the peer's key, which stands in its ACK, is not known (an INVITE without an offer)."""
        return self.offered and self.terms.srtp == "required" and not self._peer_srtp

    @property
    def over(self) -> bool:
        """True once the dialog has ended, or is being ended by us."""
        return self._ended or bool(self._asked)

    @property
    def lines(self) -> list[int]:
        """The ``m=`` lines on which we receive."""
        return sorted(self._ports)

    def media(self) -> Media:
        """Returns the event for what was negotiated last.

        Raises:
            SdpError: Nothing was.
        """
        if self._negotiated is None:
            raise SdpError("no offer was answered")
        streams = self._negotiated
        if not streams and not self.recording:  # the peer took its only stream out; it may bring it back
            return Media(self.number, [_told(removed(), port) for port in self._ports.values()])
        return Media(self.number, [_told(stream, self._ports[stream.index]) for stream in streams])

    def confirmed(self) -> Established | None:
        """Notes the ACK; returns the event, once."""
        if self.established or self._ended:
            return None
        self.established = True
        return Established(self.number, self.to_tag)

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
        local = dict(zip(SUITES, self._offered_keys, strict=True))[chosen.suite]
        self._keys |= dict.fromkeys(self._ports.values(), local)
        self._peer_srtp = {"suite": chosen.suite, "remote": chosen.key, "local": local}

    def _own_keys(self, ports: list[int]) -> list[str]:
        """Returns our key for each port.

        It stays with its stream through the dialog, also when others are taken out or added: a new key of ours would
        begin decryption afresh, and packets of a stream that has passed 65536 would not be authentic any more.
        """
        if self.terms.srtp == "off":
            return []
        return [self._keys.setdefault(port, new_key()) for port in ports]

    def _draft(self, offer: str) -> Answer:
        if (lines := len(parse(offer))) > MOST_STREAMS:
            raise SdpError(f"{lines} m= lines in one offer; {MOST_STREAMS} at most")
        ports = [_DRAFT_PORT] * (MOST_STREAMS if self.recording else 1)
        keys = self._own_keys(ports)
        return answer(offer, address=self.address, ports=ports, session=0, version=0, terms=self.terms, keys=keys)

    def _assigned(self, offered: tuple[Stream, ...]) -> list[int]:
        """Returns our ports for the streams that we take: what has one keeps it, others get one to spare."""
        usable = [index for index, stream in enumerate(offered) if stream.usable(self.terms)]
        if not self._accepted:
            return [_DRAFT_PORT] * len(usable)
        if not self.recording:
            port = next(iter(self._ports.values()), 0) or self._spare.pop(0)
            self._ports = {usable[0] if usable else 0: port}
            return [port]
        self._ports = {index: port for index, port in self._ports.items() if index in usable}
        for index in usable:
            if index not in self._ports and self._spare:
                self._ports[index] = self._spare.pop(0)
        # one that got none is answered with port 0, which refuses it
        return [self._ports.get(index, 0) for index in usable]

    def _held(self, stream: Negotiated, offered: Stream) -> Negotiated:
        if offered.direction == "sendrecv":
            self._both_ways.add(stream.index)
        on_hold = offered.direction == "sendonly" and stream.index in self._both_ways
        return replace(stream, held=True) if on_hold else stream

    def _next(self) -> int:
        self._version += 1
        return self._version


def _told(stream: Negotiated, port: int) -> StreamMedia:
    return StreamMedia(
        port=port,
        label=stream.label,
        codecs={str(pt): codec for pt, codec in stream.codecs.items()},
        telephone_event=stream.telephone_event,
        comfort_noise=stream.comfort_noise,
        remote_address=stream.remote_address,
        remote_port=stream.remote_port,
        held=stream.held,
        srtp=stream.srtp,
        sends=stream.sends,
        rtcp_port=stream.rtcp_port,
        rtcp_mux=stream.rtcp_mux,
    )
