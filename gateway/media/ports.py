"""The UDP ports that RTP comes in at: an even one for RTP, the next one for RTCP (RFC 3550, section 11)."""

from __future__ import annotations

import errno
import socket
from collections import deque
from dataclasses import dataclass
from ipaddress import ip_address

RECEIVE_BUFFER = 256 * 1024
"""Bytes asked of the kernel for a socket's queue; the kernel counts its own overhead too, about 700 bytes a packet, and
gives no more than ``net.core.rmem_max``. Even the 208 KiB that Linux allows by default hold over 2 s of a leg's RTP."""


class NoFreePortError(Exception):
    """Every pair of ports is leased, rests, or is held by another program."""


@dataclass(frozen=True, slots=True)
class Lease:
    """A pair of bound, non-blocking sockets.

    Attributes:
        port: The RTP port, even.
        rtp: Its socket.
        rtcp: The socket of the port above it.
    """

    port: int
    rtp: socket.socket
    rtcp: socket.socket


class PortPool:
    """Leases pairs of ports, the longest unused first.

    A released pair rests before it is leased again, so that stray packets of an old call meet no new one.
    """

    def __init__(self, address: str, port_min: int, port_max: int, quarantine_seconds: float) -> None:
        """Binds nothing yet.

        Args:
            address: Numeric IPv4 or IPv6 address to bind at.
            port_min: First port of the range; an odd one is left out.
            port_max: Last port of the range.
            quarantine_seconds: How long a released pair rests.

        Raises:
            ValueError: The address is not numeric, or the range has no pair.
        """
        self._address = address
        self._family = socket.AF_INET if ip_address(address).version == 4 else socket.AF_INET6
        self._quarantine_seconds = quarantine_seconds
        self._free = deque(range(port_min + port_min % 2, port_max, 2))
        self._resting: deque[tuple[float, int]] = deque()
        self._leased: set[int] = set()
        self._range = f"{port_min}-{port_max}"
        if not self._free:
            raise ValueError(f"the range {self._range} has no even port with the one above it")

    @property
    def leased(self) -> int:
        """Pairs that are leased now."""
        return len(self._leased)

    def lease(self, now: float) -> Lease:
        """Binds a pair.

        Args:
            now: Seconds on any monotonic clock, the same as for ``release``.

        Returns:
            The pair; give it back with ``release``.

        Raises:
            NoFreePortError: No pair is free.
            OSError: The address is not of this machine, or there are no descriptors left.
        """
        while self._resting and self._resting[0][0] <= now:
            self._free.append(self._resting.popleft()[1])
        held_by_others = 0
        for _ in range(len(self._free)):
            port = self._free.popleft()
            try:
                lease = self._bind(port)
            except OSError as error:
                self._free.append(port)
                if error.errno not in (errno.EADDRINUSE, errno.EACCES):
                    raise
                held_by_others += 1
                continue
            self._leased.add(port)
            return lease
        raise NoFreePortError(
            f"no pair of RTP ports is free in {self._range} at {self._address}: {len(self._leased)} leased, "
            f"{len(self._resting)} resting, {held_by_others} held by other programs; widen media.port_min to "
            "media.port_max"
        )

    def lease_all(self, count: int, now: float) -> dict[int, Lease]:
        """Binds so many pairs, or none.

        Args:
            count: How many.
            now: As for ``lease``.

        Returns:
            The pairs, by port.

        Raises:
            NoFreePortError: There are not so many.
            OSError: As ``lease``.
        """
        leases: dict[int, Lease] = {}
        try:
            for _ in range(count):
                lease = self.lease(now)
                leases[lease.port] = lease
        except (NoFreePortError, OSError):
            for lease in leases.values():
                self.release(lease, now)
            raise
        return leases

    def release(self, lease: Lease, now: float) -> None:
        """Closes a pair's sockets and lets it rest. Nobody may read them any more.

        Raises:
            ValueError: The pair is not leased.
        """
        if lease.port not in self._leased:
            raise ValueError(f"port {lease.port} is not leased")
        self._leased.remove(lease.port)
        lease.rtp.close()
        lease.rtcp.close()
        self._resting.append((now + self._quarantine_seconds, lease.port))

    def _bind(self, port: int) -> Lease:
        rtp = self._socket(port)
        try:
            return Lease(port, rtp, self._socket(port + 1))
        except OSError:
            rtp.close()
            raise

    def _socket(self, port: int) -> socket.socket:
        bound = socket.socket(self._family, socket.SOCK_DGRAM)
        try:
            bound.setblocking(False)
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
            if self._family == socket.AF_INET6:
                bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            bound.bind((self._address, port))
        except OSError:
            bound.close()
            raise
        return bound
