"""The settings of calls and legs."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, Field, model_validator

from gateway.addresses import expression
from gateway.section import Section


def _pattern(value: str) -> str:
    groups = re.compile(expression(value)).groupindex
    if value and not {"call", "leg"} <= set(groups):
        raise ValueError("the pattern needs the groups (?P<call>…) and (?P<leg>…)")
    return value


class Role(Section):
    """A rule that names a leg of a recording session (SIPREC) by its participant.

    Attributes:
        role: The leg's name, such as ``agent``.
        aor: Regular expression that is looked for in the address of record, such as ``^sip:1``; empty for none.
        name: Likewise in the display name.
    """

    role: Annotated[str, Field(pattern=r"^[\w.@+-]{1,64}$")]
    aor: Annotated[str, AfterValidator(expression)] = ""
    name: Annotated[str, AfterValidator(expression)] = ""


class Calls(Section):
    """How dialogs become calls.

    Attributes:
        call_header: Dialogs whose INVITEs carry the same value here are legs of one call; empty for never.
        leg_header: The leg's name, such as ``caller`` or ``agent``.
        uri_pattern: Regular expression on the user part of the request URI with the groups ``call`` and ``leg``, for
            PBXs that cannot add headers; empty for none.
        roles: How legs of recording sessions are named; the first rule that matches counts, and where none does the
            leg is named by the participant's own address or name.
        headers: Headers of the INVITE that go into the events.
        mask_numbers: Whether telephone numbers are masked in events, the last three digits excepted; routes still see
            them whole.
        rtp_timeout_seconds: A leg that is not on hold and gets no RTP for so long ends; 0 for never.
        lost_seconds: A leg whose dialog was lost with the signalling process goes on by its RTP, and ends when it gets
            none for so long, on hold or not.
        linger_seconds: How long a grouped call waits for another leg after the last one ended.
        drain_seconds: How long calls that are up may go on after the gateway was asked to stop.
        pause_code: Keys (RFC 4733 or SIP INFO) on a leg from which on its audio and keys are withheld from recogniser,
            store, log and consumers, such as ``*9``; empty for none.
        resume_code: Keys that end that.
    """

    call_header: str = "X-Call-Id"
    leg_header: str = "X-Call-Leg"
    uri_pattern: Annotated[str, AfterValidator(_pattern)] = ""
    roles: list[Role] = []
    headers: list[str] = []
    mask_numbers: bool = False
    rtp_timeout_seconds: Annotated[float, Field(ge=0)] = 60.0
    lost_seconds: Annotated[float, Field(gt=0)] = 10.0
    linger_seconds: Annotated[float, Field(ge=0)] = 0.5
    drain_seconds: Annotated[float, Field(ge=0)] = 30.0
    pause_code: Annotated[str, Field(pattern=r"^[0-9*#A-D]{0,16}$")] = ""
    resume_code: Annotated[str, Field(pattern=r"^[0-9*#A-D]{0,16}$")] = ""

    @model_validator(mode="after")
    def _codes(self) -> Calls:
        if bool(self.pause_code) != bool(self.resume_code):
            raise ValueError("pause_code and resume_code go together: set both, or neither")
        return self
