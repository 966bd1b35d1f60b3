"""SIPREC (RFC 7866) and its recording metadata (RFC 7865): who speaks on which stream, without I/O.

What SBCs send differs from the RFC in names and places: element names are compared without namespace and case, ids are
read in the RFC's spelling (``participant_id``) and in that of the drafts before it (``id``), and who sends a stream may
stand in a ``participantstreamassoc`` or in the participant itself. What cannot be understood is left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from xml.etree import ElementTree

from gateway.sip.request import Request
from gateway.sip.sdp import SdpError, Stream, parse

LONGEST = 1 << 16
"""Characters of metadata; far more than any call needs."""
MOST = 256
"""Participants, streams or sessions that one recording may name."""


class MetadataError(ValueError):
    """The text is no recording metadata; the message says why."""


@dataclass(frozen=True, slots=True)
class Participant:
    """Somebody on the call that is recorded.

    Attributes:
        aor: Address of record, such as ``sip:bob@example.com``; empty when the metadata has none.
        name: Display name; likewise.
    """

    aor: str = ""
    name: str = ""


@dataclass(frozen=True, slots=True)
class Recording:
    """What the metadata of one recording session says so far.

    Attributes:
        participants: By participant id.
        labels: The SDP label (RFC 4574) of each stream, by stream id.
        sends: Ids of the streams that a participant sends, by participant id.
        sessions: Ids of the communication sessions that are recorded, in order of appearance.
    """

    participants: dict[str, Participant] = field(default_factory=dict)
    labels: dict[str, str] = field(default_factory=dict)
    sends: dict[str, tuple[str, ...]] = field(default_factory=dict)
    sessions: tuple[str, ...] = ()

    def speaker(self, label: str) -> Participant | None:
        """Returns who speaks on the stream with a label; None when the metadata does not say."""
        ids = {stream for stream, known in self.labels.items() if known == label}
        for participant, streams in self.sends.items():
            if ids.intersection(streams):
                return self.participants.get(participant, Participant())
        return None

    def updated(self, text: str) -> Recording:
        """Takes further metadata: in mode ``partial`` what it holds replaces or adds to what is known, else all of it.

        Args:
            text: The XML.

        Returns:
            What holds now.

        Raises:
            MetadataError: The text cannot be read, or all that was said is more than one session can hold.
        """
        new, partial = _read(text)
        if not partial:
            return new._bounded()
        participants = {**self.participants, **new.participants}
        for identity, participant in new.participants.items():
            known = self.participants.get(identity, Participant())
            # a partial update may name a participant only to say what it sends
            participants[identity] = replace(known, **_given(participant))
        return Recording(
            participants=participants,
            labels={**self.labels, **new.labels},
            sends={**self.sends, **new.sends},
            sessions=tuple(dict.fromkeys(self.sessions + new.sessions)),
        )._bounded()

    def _bounded(self) -> Recording:
        if max(len(self.participants), len(self.labels), len(self.sends), len(self.sessions)) > MOST:
            raise MetadataError(f"more than {MOST} participants, streams or sessions")
        return self


def is_recording(request: Request) -> bool:
    """Tells whether an INVITE begins a recording session, whose every audio stream is one speaker's.

    It says so by ``Require: siprec``, by ``+sip.src`` in its Contact or by metadata in its body; without any of them,
    several audio streams that all carry labels, or are all only sent, mean it too.
    """
    options = ",".join(request.headers.get("require", [])).lower()
    if "siprec" in (option.strip() for option in options.split(",")):
        return True
    if "+sip.src" in request.first("contact").lower() or request.metadata:
        return True
    try:
        streams = [stream for stream in parse(request.sdp) if stream.kind == "audio" and stream.port]
    except SdpError:
        return False
    return len(streams) > 1 and (_all_labelled(streams) or all(stream.direction == "sendonly" for stream in streams))


def _all_labelled(streams: list[Stream]) -> bool:
    return all(stream.label for stream in streams)


def _given(participant: Participant) -> dict[str, str]:
    return {name: value for name, value in (("aor", participant.aor), ("name", participant.name)) if value}


def _read(text: str) -> tuple[Recording, bool]:
    if len(text) > LONGEST:
        raise MetadataError(f"{len(text)} characters of metadata; {LONGEST} at most")
    if "<!" in re.sub(r"<!--.*?-->|<!\[CDATA\[", "", text, flags=re.DOTALL):
        raise MetadataError("metadata with a document type is not read: entities in it could be endless")
    try:
        root = ElementTree.fromstring(text.strip())  # noqa: S314 (no document type, so no entities)
    except (ElementTree.ParseError, ValueError) as error:
        raise MetadataError(f"not XML: {error}") from error
    if _name(root) != "recording":
        raise MetadataError(f"not recording metadata: its root is {_name(root)[:40]!r}")
    participants: dict[str, Participant] = {}
    labels: dict[str, str] = {}
    sends: dict[str, tuple[str, ...]] = {}
    sessions: list[str] = []
    mode = ""
    for element in root:
        kind = _name(element)
        if kind == "datamode":
            mode = _text(element).lower()
        elif kind == "session" and (identity := _id(element, "session")):
            sessions.append(identity)
        elif kind == "stream" and (identity := _id(element, "stream")):
            labels[identity] = next((_text(child) for child in _children(element, "label")), "")
        elif kind == "participant" and (identity := _id(element, "participant")):
            participants[identity] = _participant(element)
            if own := tuple(_text(child) for child in _children(element, "send")):
                sends[identity] = own
        elif kind == "participantstreamassoc" and (identity := _id(element, "participant")):
            over = any(True for _ in _children(element, "disassociate-time"))
            sends[identity] = () if over else tuple(_text(child) for child in _children(element, "send"))
    return Recording(participants, labels, sends, tuple(dict.fromkeys(sessions))), mode == "partial"


def _participant(element: ElementTree.Element) -> Participant:
    for named in _children(element, "nameid"):
        aor = next((value for key, value in named.attrib.items() if _local(key) == "aor"), "").strip()
        name = next((_text(child) for child in _children(named, "name")), "")
        return Participant(aor, name)
    return Participant()


def _children(element: ElementTree.Element, name: str) -> Iterator[ElementTree.Element]:
    return (child for child in element if _name(child) == name)


def _id(element: ElementTree.Element, kind: str) -> str:
    found = {_local(key): value.strip() for key, value in element.attrib.items()}
    return found.get(f"{kind}_id") or found.get(f"{kind}id") or found.get("id") or found.get(kind) or ""


def _name(element: ElementTree.Element) -> str:
    return _local(element.tag) if isinstance(element.tag, str) else ""


def _local(tag: str) -> str:
    return tag.rpartition("}")[2].lower()


def _text(element: ElementTree.Element) -> str:
    return " ".join((element.text or "").split())
