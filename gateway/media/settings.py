"""The settings of RTP reception."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Annotated

from pydantic import Field, model_validator

from gateway.addresses import Port
from gateway.section import Section


class Media(Section):
    """RTP.

    Attributes:
        address: Numeric address that RTP ports are bound at.
        advertise: Address written into the SDP where it differs from ``address``.
        port_min: First port of the range; each leg takes an even port and the one above it.
        port_max: Last port of the range.
        quarantine_seconds: How long a released port rests, so that stray packets of an old call meet no new one.
        reorder_ms: How long a missing packet is waited for; 0 for not at all.
        conceal_ms: Loss up to this long is filled by repeating and fading; the rest of it by silence.
        pause_fill_ms: A pause of the sender up to this long is streamed as silence; of a longer one, only this much.
        tick_ms: How often the receiver looks at its sockets; 0 for at each packet, which costs more.
        learn_seconds: How long after the answer RTP from another address than the signalled one may be learnt (NAT); 0
            for never. Whoever guesses the port in that time may be heard until the right one sends.
        rtcp: Whether receiver reports are sent.
        recordings: A folder in which every call is recorded, in its codec, one leg a channel; empty for none. What is
            withheld is silence there.
    """

    address: str = "127.0.0.1"
    advertise: str = ""
    port_min: Port = 16384
    port_max: Port = 20479
    quarantine_seconds: Annotated[float, Field(ge=0)] = 2.0
    reorder_ms: Annotated[int, Field(ge=0, le=500)] = 40
    conceal_ms: Annotated[int, Field(ge=0, le=1000)] = 60
    pause_fill_ms: Annotated[int, Field(ge=0, le=60000)] = 2000
    tick_ms: Annotated[int, Field(ge=0, le=20)] = 5
    learn_seconds: Annotated[float, Field(ge=0, le=3600)] = 10.0
    rtcp: bool = True
    recordings: str = ""

    @model_validator(mode="after")
    def _range(self) -> Media:
        ip_address(self.address)
        if self.port_max < self.port_min + 1:
            raise ValueError("port_max leaves no pair of ports above port_min")
        return self
