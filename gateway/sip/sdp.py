"""SDP: reads offers and answers, writes ours (RFC 3264, 4566 and 3551).

We only ever listen, so an answer says ``recvonly``, or ``inactive`` where the peer will not send; peers that hang up
without RTP from us are answered ``sendrecv`` (``Terms.sends``). The answer names one G.711 payload type, the first of
the offer: pjsip's negotiator keeps no second one. Reception takes every G.711 payload type that the offer named, since
senders do switch between them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from ipaddress import ip_address
from typing import Literal

from gateway.sip import sdes

PROFILES = ("RTP/AVP", "RTP/AVPF")
SECURE_PROFILES = ("RTP/SAVP", "RTP/SAVPF")
DEFAULT_PTIME = 20
LONGEST_TEXT = 65536

_STATIC = {0: "PCMU/8000", 8: "PCMA/8000", 13: "CN/8000"}
_G711 = {"PCMA/8000": "alaw", "PCMU/8000": "mulaw"}
_DIRECTIONS = ("sendrecv", "sendonly", "recvonly", "inactive")
_DIRECTION = {  # we receive, we send
    (True, True): "sendrecv",
    (True, False): "recvonly",
    (False, True): "sendonly",
    (False, False): "inactive",
}
_TOKEN = re.compile(r"[!#-'*+\-./0-9A-Z^-~]+")


class SdpError(ValueError):
    """The text is not SDP that a call can be made of; the message says why."""


class NoCommonCodecError(SdpError):
    """The SDP is sound, and no audio stream in it has G.711 as the peer's terms want it."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What one peer is answered.

    Attributes:
        srtp: Whether its RTP may, or must, be encrypted with keys in the SDP (RFC 4568).
        sends: We send, too (silence): ``sendrecv`` instead of ``recvonly``.
    """

    srtp: Literal["off", "optional", "required"] = "off"
    sends: bool = False


PLAIN = Terms()


@dataclass(frozen=True, slots=True)
class Stream:
    """One ``m=`` line with what belongs to it.

    Attributes:
        kind: ``audio``, ``video``, ``image``, ...
        port: 0 when the peer took the stream out.
        profile: Such as ``RTP/AVP``.
        formats: As on the ``m=`` line: payload types for RTP.
        address: Of its own ``c=`` line, or of the session's.
        direction: ``sendrecv``, ``sendonly``, ``recvonly`` or ``inactive``, as the peer says it.
        encodings: By payload type, upper case and without a channel count of 1: ``PCMA/8000``.
        ptime: Milliseconds a packet that the peer wants; 0 when it does not say.
        maxptime: The most that it takes; 0 when it does not say.
        label: RFC 4574; empty for none.
        crypto: The keys that we can take, in its order.
        rtcp_port: Where it takes RTCP (RFC 3605); 0 for the port above ``port``, or where it names another address.
        rtcp_mux: It takes RTCP on the RTP port (RFC 5761).
    """

    kind: str
    port: int
    profile: str
    formats: tuple[str, ...]
    address: str
    direction: str
    encodings: dict[int, str]
    ptime: int
    maxptime: int
    label: str
    crypto: tuple[sdes.Crypto, ...] = ()
    rtcp_port: int = 0
    rtcp_mux: bool = False

    @property
    def codecs(self) -> dict[int, str]:
        """G.711 payload types in the order of the ``m=`` line, ``alaw`` or ``mulaw`` each."""
        return {pt: _G711[name] for pt, name in self.encodings.items() if name in _G711}

    def payload_type(self, encoding: str) -> int:
        """Returns the payload type of an encoding such as ``CN/8000``, -1 for none."""
        return next((pt for pt, name in self.encodings.items() if name == encoding), -1)

    def usable(self, terms: Terms) -> bool:
        """Returns True for an audio stream that G.711 can be received on, on these terms."""
        if self.kind != "audio" or self.port == 0 or not self.codecs:
            return False
        if self.profile in SECURE_PROFILES:
            return terms.srtp != "off" and bool(self.crypto)
        return self.profile in PROFILES and terms.srtp != "required"


@dataclass(frozen=True, slots=True)
class Negotiated:
    """What holds for one audio stream after offer and answer.

    Attributes:
        index: Its ``m=`` line, counted from 0.
        codecs: G.711 payload types that may arrive; the answered one comes first.
        telephone_event: Payload type of RFC 4733 events, -1 for none.
        comfort_noise: Payload type of RFC 3389, -1 for none.
        remote_address: The peer's numeric address.
        remote_port: The peer's port, 0 when it took the stream out.
        held: The peer does not send.
        label: The stream's RFC 4574 label.
        srtp: ``suite``, ``remote`` and ``local`` key (base64); empty for plain RTP.
        sends: We may send: the peer takes RTP and the terms say so.
        rtcp_port: The peer's for RTCP (RFC 3605); 0 for the one above ``remote_port``.
        rtcp_mux: RTCP goes on the RTP port (RFC 5761), as offered and answered.
    """

    index: int
    codecs: dict[int, str]
    telephone_event: int
    comfort_noise: int
    remote_address: str
    remote_port: int
    held: bool
    label: str
    srtp: dict[str, str] = field(default_factory=dict)
    sends: bool = False
    rtcp_port: int = 0
    rtcp_mux: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """Our answer.

    Attributes:
        text: The SDP.
        streams: The audio streams that we receive, one for each port used.
    """

    text: str
    streams: tuple[Negotiated, ...]


@dataclass(slots=True)
class _Draft:
    """A ``m=`` line while its further lines are read."""

    head: str
    address: str = ""
    attributes: list[tuple[str, str]] = field(default_factory=list)


def parse(text: str) -> tuple[Stream, ...]:
    """Reads an offer or an answer. Unknown lines and attributes are passed over.

    Args:
        text: The SDP; lines may end in CRLF or LF.

    Returns:
        Its streams, in order.

    Raises:
        SdpError: The text cannot be read, has no ``m=`` line, or an active audio stream has no numeric address.
    """
    if len(text) > LONGEST_TEXT:
        raise SdpError(f"{len(text)} characters of SDP; {LONGEST_TEXT} at most")
    lines = [line for line in re.split(r"\r\n|\r|\n", text) if line.strip()]
    if not lines or lines[0].strip() != "v=0":
        raise SdpError("the SDP does not begin with v=0")
    session, drafts = _Draft(""), []
    for line in lines[1:]:
        if len(line) < 2 or line[1] != "=":
            raise SdpError(f"not a line of SDP: {line[:60]!r}")
        kind, value = line[0], line[2:].strip()
        if kind == "m":
            drafts.append(_Draft(value))
            continue
        target = drafts[-1] if drafts else session
        if kind == "c":
            target.address = _connection(value)
        elif kind == "a":
            name, _, argument = value.partition(":")
            target.attributes.append((name.strip().lower(), argument.strip()))
    if not drafts:
        raise SdpError("the SDP has no m= line")
    return tuple(_stream(draft, session) for draft in drafts)


def answer(
    offer: str,
    *,
    address: str,
    ports: Sequence[int],
    session: int,
    version: int,
    terms: Terms = PLAIN,
    keys: Sequence[str] = (),
) -> Answer:
    """Answers an offer: recvonly G.711 for its first usable audio streams, port 0 for the rest of it.

    Args:
        offer: The peer's SDP.
        address: Our RTP address as the peer must see it.
        ports: Our RTP ports, one for each audio stream that is wanted.
        session: The number in our ``o=`` line, the same through the dialog's life.
        version: The version in our ``o=`` line; each new SDP of ours has the next.
        terms: The peer's.
        keys: Our SRTP keys (base64), one for each port.

    Returns:
        The answer and what was negotiated. ``streams`` is empty when the peer took all its audio out, which is allowed
        in a later offer of a dialog (RFC 3264, section 8.2).

    Raises:
        NoCommonCodecError: No audio stream has G.711 on these terms.
        SdpError: The offer cannot be read.
    """
    offered = parse(offer)
    lines = _head(address, session, version)
    streams: list[Negotiated] = []
    free = list(ports)
    for index, stream in enumerate(offered):
        if stream.usable(terms) and free:
            crypto = None
            if stream.profile in SECURE_PROFILES:
                crypto = replace(stream.crypto[0], key=keys[len(streams)])
            lines += _answered(stream, free.pop(0), terms, crypto)
            streams.append(_negotiated(index, stream, terms, crypto))
        else:
            lines += [f"m={stream.kind} 0 {stream.profile} {' '.join(stream.formats[:1])}"]
    if not streams and any(stream.port > 0 for stream in offered):
        want = {"off": "RTP/AVP", "optional": "RTP/AVP or RTP/SAVP", "required": "RTP/SAVP"}[terms.srtp]
        raise NoCommonCodecError(f"no audio stream of the offer has G.711 (PCMA or PCMU) over {want}")
    return Answer(_checked(lines, offered), tuple(streams))


def make_offer(
    *, address: str, port: int, session: int, version: int, terms: Terms = PLAIN, keys: Sequence[str] = ()
) -> str:
    """Returns our own offer, for an INVITE that came without one.

    Args:
        address: Our RTP address as the peer must see it.
        port: Our RTP port.
        session: As in ``answer``.
        version: As in ``answer``.
        terms: The peer's; SRTP is offered only where it is required, since one stream cannot offer both.
        keys: One SRTP key (base64) for each of ``sdes.SUITES``, where it is required.

    Raises:
        SdpError: The address is not numeric.
    """
    lines = _head(address, session, version)
    secure = terms.srtp == "required"
    lines += [f"m=audio {port} RTP/{'SAVP' if secure else 'AVP'} 8 0 101 13"]
    if secure:
        lines += [crypto.line() for crypto in sdes.offers(keys)]
    lines += ["a=rtpmap:8 PCMA/8000", "a=rtpmap:0 PCMU/8000"]
    lines += ["a=rtpmap:101 telephone-event/8000", "a=fmtp:101 0-16", "a=rtpmap:13 CN/8000"]
    lines += [f"a=ptime:{DEFAULT_PTIME}", "a=sendrecv" if terms.sends else "a=recvonly"]
    return _checked(lines, None)


def removed() -> Negotiated:
    """Returns what holds when the peer took its audio out of the session."""
    return Negotiated(0, {}, -1, -1, "", 0, held=True, label="")


def _stream(draft: _Draft, session: _Draft) -> Stream:
    parts = draft.head.split()
    if len(parts) < 4 or not all(_TOKEN.fullmatch(part) for part in parts):
        raise SdpError(f"not a media description: m={draft.head[:60]!r}")
    kind, profile, formats = parts[0], parts[2], tuple(parts[3:])
    port = _number(parts[1].partition("/")[0], 65535)
    if port < 0:
        raise SdpError(f"not a port: {parts[1][:20]!r} in m={draft.head[:60]!r}")
    address = draft.address or session.address
    if kind == "audio" and port > 0:
        try:
            ip_address(address)
        except ValueError:
            raise SdpError(f"the audio stream has no numeric c= address: {address[:60]!r}") from None
    encodings = _encodings(formats, draft.attributes) if profile.startswith("RTP/") else {}
    directions = [name for name, _ in [*draft.attributes, *session.attributes] if name in _DIRECTIONS]
    of = dict(reversed(draft.attributes))
    label = of.get("label", "")
    return Stream(
        kind=kind,
        port=port,
        profile=profile,
        formats=formats,
        address=address,
        direction=directions[0] if directions else "sendrecv",
        encodings=encodings,
        ptime=max(0, _number(of.get("ptime", "0"), 1000)),
        maxptime=max(0, _number(of.get("maxptime", "0"), 1000)),
        label=label if _TOKEN.fullmatch(label) else "",
        crypto=tuple(line for name, text in draft.attributes if name == "crypto" and (line := sdes.read(text))),
        rtcp_port=_rtcp_port(of.get("rtcp", ""), address),
        rtcp_mux="rtcp-mux" in of,
    )


def _encodings(formats: Sequence[str], attributes: Sequence[tuple[str, str]]) -> dict[int, str]:
    maps: dict[int, str] = {}
    for name, value in attributes:
        pt, _, encoding = value.partition(" ")
        if name == "rtpmap" and (number := _number(pt, 127)) >= 0:
            maps.setdefault(number, encoding.strip().upper().removesuffix("/1"))
    numbers = [number for text in formats if (number := _number(text, 127)) >= 0]
    return {number: maps.get(number, _STATIC.get(number, "")) for number in numbers}


def _rtcp_port(value: str, address: str) -> int:
    """Returns the port of ``a=rtcp:``; 0 where it cannot be read or is at another address than the RTP."""
    port, *where = value.split() or [""]
    if where and where[2:] != [address]:
        return 0
    return max(0, _number(port, 65535))


def _connection(value: str) -> str:
    parts = value.split()
    if len(parts) != 3 or parts[0].upper() != "IN":
        raise SdpError(f"not a connection line: c={value[:60]!r}")
    return parts[2].partition("/")[0]


def _number(text: str, most: int) -> int:
    """Returns a decimal number of 0 to ``most``, -1 for anything else."""
    text = text.strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) < 8 and int(text) <= most else -1


def _negotiated(index: int, stream: Stream, terms: Terms, crypto: sdes.Crypto | None) -> Negotiated:
    numeric = ip_address(stream.address)
    return Negotiated(
        index=index,
        codecs=stream.codecs,
        telephone_event=stream.payload_type("TELEPHONE-EVENT/8000"),
        comfort_noise=stream.payload_type("CN/8000"),
        remote_address=str(numeric),
        remote_port=stream.port,
        held=stream.direction in ("recvonly", "inactive") or numeric.is_unspecified,
        label=stream.label,
        srtp={"suite": crypto.suite, "remote": stream.crypto[0].key, "local": crypto.key} if crypto else {},
        sends=terms.sends and stream.direction in ("sendrecv", "recvonly"),
        rtcp_port=stream.rtcp_port,
        rtcp_mux=stream.rtcp_mux,
    )


def _head(address: str, session: int, version: int) -> list[str]:
    try:
        family = f"IN IP{ip_address(address).version} {address}"
    except ValueError:
        raise SdpError(f"{address!r} is not a numeric address for our SDP") from None
    return ["v=0", f"o=asr-gateway {session} {version} {family}", "s=-", f"c={family}", "t=0 0"]


def _answered(stream: Stream, port: int, terms: Terms, crypto: sdes.Crypto | None) -> list[str]:
    codec = next(iter(stream.codecs))
    event, noise = stream.payload_type("TELEPHONE-EVENT/8000"), stream.payload_type("CN/8000")
    types = [pt for pt in (codec, event, noise) if pt >= 0]
    lines = [f"m=audio {port} {stream.profile} {' '.join(map(str, types))}"]
    if crypto:
        lines.append(crypto.line())
    lines.append(f"a=rtpmap:{codec} {stream.encodings[codec]}")
    if event >= 0:
        lines += [f"a=rtpmap:{event} telephone-event/8000", f"a=fmtp:{event} 0-16"]
    if noise >= 0:
        lines.append(f"a=rtpmap:{noise} CN/8000")
    ptime = stream.ptime if stream.ptime in range(10, 61, 10) else DEFAULT_PTIME
    if 10 <= stream.maxptime < ptime:
        ptime = stream.maxptime
    lines.append(f"a=ptime:{ptime}")
    if stream.rtcp_mux:
        lines.append("a=rtcp-mux")
    if stream.label:
        lines.append(f"a=label:{stream.label}")
    # c=0.0.0.0 is how RFC 2543 held; a peer that uses it still wants its own direction answered
    receives, sends = stream.direction in ("sendrecv", "sendonly"), stream.direction in ("sendrecv", "recvonly")
    lines.append(f"a={_DIRECTION[receives, sends and terms.sends]}")
    return lines


def _checked(lines: Sequence[str], offered: tuple[Stream, ...] | None) -> str:
    """Joins our lines and reads them back: pjsip would put an SDP of its own in the place of a faulty one."""
    text = "".join(f"{line}\r\n" for line in lines)
    written = parse(text)
    if offered is not None and [stream.kind for stream in written] != [stream.kind for stream in offered]:
        raise SdpError("our answer does not match the offer's m= lines")
    return text
