"""Takes secrets out of SIP messages before they are logged or exported; all else stays as it was on the wire."""

from __future__ import annotations

import re

# Credentials (RFC 3261, section 22), folded lines (section 7.3.1) included; what the answer proves is not shown either.
_CREDENTIALS = re.compile(
    r"^((?:Proxy-)?(?:Authorization|Authentication-Info)[ \t]*:)[^\r\n]*(?:\r?\n[ \t][^\r\n]*)*",
    re.IGNORECASE | re.MULTILINE,
)
# Keys in an SDP: SDES (RFC 4568), MIKEY (RFC 4567), k= (RFC 8866). They keep their length, and so does the body.
_KEYS = re.compile(
    r"(?<=\binline:)[^\s|;]+|(?<=^a=key-mgmt:mikey )\S+|(?<=^k=clear:)\S+|(?<=^k=base64:)\S+", re.M | re.I
)
# Keys that a caller pressed (INFO): they may be a card number.
_PRESSED = re.compile(r"^([ \t]*Signal[ \t]*=[ \t]*)(\S+)", re.IGNORECASE | re.MULTILINE)
_USER = re.compile(r"(?<=\bsip:)[^\s@<>]+(?=@)|(?<=\bsips:)[^\s@<>]+(?=@)|(?<=\btel:)[^\s;>]+", re.IGNORECASE)
_BARE_PRESSED = re.compile(
    r"^(?:Content-Type|c)[ \t]*:[ \t]*application/dtmf[ \t]*(?:;[^\r\n]*)?\r?$", re.IGNORECASE | re.MULTILINE
)


def without_secrets(text: str) -> str:
    """Returns a SIP message, an SDP or a line of a log without credentials, SRTP keys and pressed keys."""
    text = _CREDENTIALS.sub(r"\1 …", text)
    text = _KEYS.sub(lambda match: "*" * len(match[0]), text)
    text = _PRESSED.sub(lambda match: match[1] + "*" * len(match[2]), text)
    if _BARE_PRESSED.search(text):
        head, blank, body = text.partition("\r\n\r\n")
        text = head + blank + re.sub(r"[0-9A-Da-d*#]", "*", body)
    return text


def without_numbers(text: str) -> str:
    """Returns the first line of a log entry without the users of its URIs; SIP messages stand in the lines after it."""
    return _USER.sub("…", text.partition("\n")[0].rstrip())
