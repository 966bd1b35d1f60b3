"""Reads what the gateway needs of a raw SIP message: request line, headers, SDP body (RFC 3261, section 7).

pjsip has parsed the message before, so only its shape is taken apart here; what does not fit is left out.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from email import message_from_bytes, policy

_COMPACT = {  # RFC 3261 and the IANA registry of header fields
    "a": "accept-contact", "b": "referred-by", "c": "content-type", "d": "request-disposition",
    "e": "content-encoding", "f": "from", "i": "call-id", "j": "reject-contact", "k": "supported",
    "l": "content-length", "m": "contact", "o": "event", "r": "refer-to", "s": "subject", "t": "to",
    "u": "allow-events", "v": "via", "x": "session-expires", "y": "identity",
}  # fmt: skip
_TAG = re.compile(r";\s*tag\s*=\s*([^;\s,]+)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Request:
    """A SIP message taken apart.

    Attributes:
        method: Of the request line; empty for a response.
        uri: Of the request line.
        headers: By lower-case long name, in order of appearance.
        body: As it came, without the headers.
    """

    method: str
    uri: str
    headers: dict[str, list[str]]
    body: str

    def first(self, name: str) -> str:
        """Returns the first header of a (lower-case) name, empty for none."""
        return self.headers.get(name, [""])[0]

    @property
    def sdp(self) -> str:
        """The SDP in the body, also as a part of a multipart body (RFC 5621); empty for none."""
        return self._part("application/sdp")

    @property
    def metadata(self) -> str:
        """The recording metadata in the body, under either of its types (RFC 7866, section 9); empty for none."""
        return clean(self._part("application/rs-metadata+xml", "application/rs-metadata"))

    def _part(self, *kinds: str) -> str:
        content_type = self.first("content-type")
        kind = content_type.partition(";")[0].strip().lower()
        if kind in kinds:
            return self.body
        if not kind.startswith("multipart/"):
            return ""
        head = f"Content-Type: {content_type}\r\n\r\n".encode("utf-8", "surrogateescape")
        whole = message_from_bytes(head + self.body.encode("utf-8", "surrogateescape"), policy=policy.compat32)
        for part in whole.walk():
            if part.get_content_type() in kinds:
                payload = part.get_payload(decode=True)
                return payload.decode("utf-8", "replace") if isinstance(payload, bytes) else ""
        return ""


def read(text: str) -> Request:
    """Takes a message apart.

    Args:
        text: The whole message; bytes that are no UTF-8 may stand as surrogates.

    Returns:
        Its parts; fields that cannot be found are empty.
    """
    head, _, body = text.partition("\r\n\r\n")
    lines = re.sub(r"\r\n[ \t]+", " ", head).split("\r\n")
    parts = lines[0].split(" ")
    method, uri = (parts[0], parts[1]) if len(parts) == 3 and parts[2].startswith("SIP/") else ("", "")
    headers: dict[str, list[str]] = {}
    for line in lines[1:]:
        name, colon, value = line.partition(":")
        name = name.strip().lower()
        if colon and name:
            headers.setdefault(_COMPACT.get(name, name), []).append(clean(value.strip()))
    return Request(method, clean(uri), headers, body)


def clean(text: str) -> str:
    """Returns the text with bytes that are no UTF-8 replaced, so that it can be written as JSON."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def uri_of(value: str) -> str:
    """Returns the URI of a From, To or Contact header: what stands in angle brackets, or the value up to ``;``."""
    if match := re.search(r"<([^>]*)>", value):
        return match[1]
    return value.partition(";")[0].strip()


def tag_of(value: str) -> str:
    """Returns the tag of a From or To header, empty for none."""
    match = _TAG.search(value.rpartition(">")[2] if ">" in value else value)
    return match[1] if match else ""
