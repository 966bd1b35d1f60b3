from __future__ import annotations

import errno
import os
import resource
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count, islice

import pytest

from gateway.media.ports import NoFreePortError, PortPool

FIRST = 21_000  # below the ports that the kernel gives out by itself


def pool(pairs: int = 3, quarantine: float = 2.0, address: str = "127.0.0.1") -> PortPool:
    return PortPool(address, FIRST, FIRST + 2 * pairs - 1, quarantine)


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_a_lease_is_a_pair_of_bound_sockets(address: str) -> None:
    ports = pool(address=address)
    lease = ports.lease(0)
    assert lease.port == FIRST
    assert lease.rtp.getsockname()[:2] == (address, FIRST)
    assert lease.rtcp.getsockname()[:2] == (address, FIRST + 1)
    assert not lease.rtp.getblocking()
    # the kernel doubles what is asked, within net.core.rmem_max
    assert lease.rtp.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) >= 400_000
    ports.release(lease, 0)
    assert lease.rtp.fileno() == lease.rtcp.fileno() == -1


def test_a_released_pair_rests_and_the_longest_unused_comes_first() -> None:
    ports = pool()
    first, second = ports.lease(0), ports.lease(0)
    assert ports.leased == 2
    ports.release(second, 10)
    ports.release(first, 11)
    third = ports.lease(11.5)
    assert third.port == FIRST + 4
    with pytest.raises(NoFreePortError, match=r"21000-21005 at 127\.0\.0\.1: 1 leased, 2 resting, 0 held by other"):
        ports.lease(11.9)
    ports.release(third, 12)
    assert ports.lease(12).port == FIRST + 2
    assert ports.lease(13).port == FIRST
    assert ports.leased == 2


@pytest.mark.parametrize("offset", [0, 1])
def test_ports_of_other_programs_are_skipped(offset: int) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("127.0.0.1", FIRST + offset))
        ports = pool(2)
        lease = ports.lease(0)
        assert lease.port == FIRST + 2
        with pytest.raises(NoFreePortError, match="1 leased, 0 resting, 1 held by other programs"):
            ports.lease(0)
    again = ports.lease(0)
    assert again.port == FIRST
    ports.release(lease, 0)
    ports.release(again, 0)


def test_an_odd_start_and_an_odd_end_are_left_out() -> None:
    ports = PortPool("127.0.0.1", FIRST + 1, FIRST + 4, 0)
    lease = ports.lease(0)
    assert lease.port == FIRST + 2
    with pytest.raises(NoFreePortError):
        ports.lease(0)
    ports.release(lease, 0)


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(ValueError, match="the range 21001-21002 has no even port"):
        PortPool("127.0.0.1", FIRST + 1, FIRST + 2, 0)
    with pytest.raises(ValueError, match="localhost"):
        PortPool("localhost", FIRST, FIRST + 2, 0)
    with pytest.raises(OSError, match="Cannot assign requested address"):
        PortPool("192.0.2.77", FIRST, FIRST + 2, 0).lease(0)
    ports = pool()
    lease = ports.lease(0)
    ports.release(lease, 0)
    with pytest.raises(ValueError, match="port 21000 is not leased"):
        ports.release(lease, 0)


def test_several_are_leased_or_none() -> None:
    ports = pool()
    assert list(ports.lease_all(2, 0)) == [FIRST, FIRST + 2]
    with pytest.raises(NoFreePortError, match="3 leased, 0 resting"):
        ports.lease_all(2, 0)
    assert ports.leased == 2
    assert list(ports.lease_all(1, 3)) == [FIRST + 4], "what was leased in vain rests and comes back"
    assert ports.lease_all(0, 3) == {}


def is_open(descriptor: int) -> bool:
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True


@contextmanager
def descriptors_left(free: int) -> Iterator[None]:
    """Lets this process open so many more descriptors."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    limit = next(islice((number for number in count() if not is_open(number)), free, None))
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.parametrize("free", [0, 1, 2, 3])
def test_without_descriptors_none_is_leased_and_none_is_lost(free: int) -> None:
    ports = pool()
    with descriptors_left(free), pytest.raises(OSError, match=os.strerror(errno.EMFILE)):
        ports.lease_all(2, 0)
    assert ports.leased == 0
    leases = ports.lease_all(3, 3)
    assert sorted(leases) == [FIRST, FIRST + 2, FIRST + 4]
    for lease in leases.values():
        ports.release(lease, 3)
