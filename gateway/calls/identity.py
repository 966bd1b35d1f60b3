"""Who calls whom, and which call a dialog belongs to: read from the INVITE, without I/O."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

from gateway.asr.routes import Facts
from gateway.calls.settings import Calls
from gateway.sip.events import Incoming
from gateway.sip.siprec import Participant, Recording

_USER = re.compile(r"<?(?:sips?|tel):([^@;>\s]*)", re.IGNORECASE)
_NUMBER = re.compile(r"\d(?:[-() ]{0,2}\d){6,}")
_SAFE = re.compile(r"[^\w.@+-]")
LONGEST_NAME = 64
LONGEST_VALUE = 512
NOTHING = Recording()


@dataclass(frozen=True, slots=True)
class Identity:
    """What an INVITE says about its call.

    Attributes:
        key: Dialogs with the same key are legs of one call; empty for a call of its own.
        leg: The leg's name.
        from_number: The caller, by P-Asserted-Identity (RFC 3325) before From.
        to_number: The dialled number: the user part of To.
        headers: The chosen headers, by lower-case name; of several values the first.
        diverted_from: Who sent the call on last: the user part of the first Diversion (RFC 5806).
        user_to_user: The User-to-User header (RFC 7433), as it came.
    """

    key: str
    leg: str
    from_number: str
    to_number: str
    headers: dict[str, str]
    diverted_from: str = ""
    user_to_user: str = ""

    def masked(self) -> Identity:
        """Returns the same with its telephone numbers masked."""
        return replace(
            self,
            leg=mask(self.leg),
            from_number=mask(self.from_number),
            to_number=mask(self.to_number),
            headers={name: mask(value) for name, value in self.headers.items()},
            diverted_from=mask(self.diverted_from),
            user_to_user=mask(self.user_to_user),
        )


def mask(text: str) -> str:
    """Masks telephone numbers: of seven digits and more, with or without separators, the last three stay."""
    return _NUMBER.sub(lambda found: re.sub(r"\d(?=(?:\D*\d){3})", "*", found[0]), text)


def user_of(uri: str) -> str:
    """Returns the user part of a SIP or tel URI, alone or in a name-addr; empty where there is none."""
    match = _USER.search(uri)
    return match[1] if match else ""


def identify(incoming: Incoming, settings: Calls, recording: Recording = NOTHING) -> Identity:
    """Reads an INVITE.

    Headers group dialogs before the pattern on the request URI does, and that before the session that recording
    metadata names. What the peer names a leg or a call is cut to 64 harmless characters, since it ends up in logs and
    events.

    Args:
        incoming: The INVITE.
        settings: Which headers and which pattern count.
        recording: What its recording metadata says.
    """
    key = _name(_first(incoming.headers, settings.call_header))
    leg = _name(_first(incoming.headers, settings.leg_header))
    if not key and settings.uri_pattern:
        match = re.fullmatch(settings.uri_pattern, user_of(incoming.request_uri))
        if match is not None:
            key, leg = _name(match["call"]), _name(match["leg"])
    if not key and recording.sessions:
        key = _name(recording.sessions[0])
    asserted = _first(incoming.headers, "p-asserted-identity")
    chosen = {name.lower(): _first(incoming.headers, name) for name in settings.headers}
    return Identity(
        key=key,
        leg=leg or "caller",
        from_number=user_of(asserted) or user_of(incoming.from_uri),
        to_number=user_of(incoming.to_uri),
        headers={name: value for name, value in chosen.items() if value},
        diverted_from=user_of(_first(incoming.headers, "diversion")),
        user_to_user=_first(incoming.headers, "user-to-user")[:LONGEST_VALUE],
    )


def facts_of(incoming: Incoming, identity: Identity) -> Facts:
    """Returns what the routes of the recognition look at.

    Args:
        incoming: The INVITE.
        identity: What was read from it.
    """
    return Facts(incoming.peer, identity.to_number, identity.from_number, identity.leg, incoming.headers)


def leg_name(speaker: Participant | None, label: str, settings: Calls) -> str:
    """Returns the name of a recording session's leg.

    Args:
        speaker: Who speaks on it; None when the metadata does not say.
        label: The stream's label; empty for none.
        settings: The roles.

    Returns:
        The role of the first rule that matches the address of record or the name; without one the user part of the
        address, the name or the label, whatever there is first.
    """
    aor, name = (speaker.aor, speaker.name) if speaker else ("", "")
    for rule in settings.roles:
        if (rule.aor and re.search(rule.aor, aor)) or (rule.name and re.search(rule.name, name)):
            return rule.role
    return _name(user_of(aor)) or _name(name) or (f"stream-{_name(label)}" if label else "stream")


def _first(headers: Mapping[str, list[str]], name: str) -> str:
    values = headers.get(name.lower()) if name else None
    return values[0].strip() if values else ""


def _name(text: str) -> str:
    return _SAFE.sub("_", text)[:LONGEST_NAME]
