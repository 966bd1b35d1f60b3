"""SRTP: libsrtp in the receiver against pylibsrtp on the other side, on streams and on real sockets."""

from __future__ import annotations

import select
import socket
import struct

import pytest
from pylibsrtp import Policy, Session

from gateway.media.chunks import Chunk, Control
from gateway.media.receiver import Receiver, Stream
from tests.media.packets import MS, check, chunks, payload, rtp

REMOTE, LOCAL = bytes(range(30)), bytes(range(100, 130))
SUITES = {
    "AES_CM_128_HMAC_SHA1_80": Policy.SRTP_PROFILE_AES128_CM_SHA1_80,
    "AES_CM_128_HMAC_SHA1_32": Policy.SRTP_PROFILE_AES128_CM_SHA1_32,
}
REPORT = struct.pack("!BBHIIIIII", 0x80, 200, 6, 0x1234, 3_900_000_000, 0, 160, 1, 160)


def sender(suite: str, key: bytes = REMOTE) -> Session:
    return Session(Policy(key=key, ssrc_type=Policy.SSRC_ANY_OUTBOUND, srtp_profile=SUITES[suite]))


def voice(seq: int) -> bytes:
    return bytes([seq + 1]) * 160


@pytest.mark.parametrize("suite", SUITES)
def test_what_was_encrypted_comes_out_as_it_was(suite: str) -> None:
    stream = Stream(codecs={8: "alaw"}, srtp=(suite, REMOTE, LOCAL), reorder_ms=40)
    peer = sender(suite)
    packets = [peer.protect(rtp(65530 + seq, seq * 160, voice(seq), padding=8 * (seq % 2))) for seq in range(12)]
    assert voice(3) not in packets[3]
    packets[4], packets[5] = packets[5], packets[4]
    out = [item for at, packet in enumerate(packets) for item in stream.push(packet, (at + 1) * 20 * MS)]
    out += stream.finish()
    check(out, stream.stats())
    assert payload(out) == b"".join(map(voice, range(12)))
    assert (stream.stats().unauthentic, stream.stats().reordered) == (0, 1)


@pytest.mark.parametrize("suite", SUITES)
def test_what_is_not_authentic_is_counted_and_never_forwarded(suite: str) -> None:
    stream = Stream(codecs={8: "alaw"}, srtp=(suite, REMOTE, LOCAL))
    peer, stranger = sender(suite), sender(suite, bytes(30))
    good = [peer.protect(rtp(seq, seq * 160, voice(seq))) for seq in range(3)]
    flipped = bytearray(peer.protect(rtp(3, 480, voice(3))))
    flipped[40] ^= 1
    out = []
    for packet in [good[0], stranger.protect(rtp(1, 160, b"x" * 160)), rtp(1, 160, b"x" * 160), good[1], good[1]]:
        out += stream.push(packet, 20 * MS)
    out += stream.push(flipped, 40 * MS)
    out += stream.push(good[2], 40 * MS)
    out += stream.finish()
    stats = stream.stats()
    assert payload(out) == b"".join(map(voice, range(3)))
    assert (stats.unauthentic, stats.duplicates, stats.packets) == (3, 1, 3)


def test_the_same_keys_go_on_and_new_ones_take_over() -> None:
    """A re-INVITE with the same key must not lose the roll-over counter, which is 1 here."""
    suite = "AES_CM_128_HMAC_SHA1_80"
    stream = Stream(codecs={8: "alaw"}, srtp=(suite, REMOTE, LOCAL))
    peer, out = sender(suite), []
    for seq in range(65534, 65538):
        out += stream.push(peer.protect(rtp(seq, seq * 160, voice(seq - 65534))), 20 * MS)
    stream.update(codecs={8: "alaw"}, remote=None, srtp=(suite, REMOTE, LOCAL))
    out += stream.push(peer.protect(rtp(65538, 65538 * 160, voice(4))), 20 * MS)
    stream.update(codecs={8: "alaw"}, remote=None, srtp=(suite, LOCAL, REMOTE))
    out += stream.push(peer.protect(rtp(65539, 65539 * 160, b"x" * 160)), 20 * MS)
    other = sender(suite, LOCAL)
    out += stream.push(other.protect(rtp(65539, 65539 * 160, voice(5))), 20 * MS)
    out += stream.finish()
    assert payload(out) == b"".join(map(voice, range(6)))
    assert stream.stats().unauthentic == 1


@pytest.mark.parametrize(
    ("srtp", "text"),
    [
        (("AES_256_CM_HMAC_SHA1_80", REMOTE, LOCAL), "no SRTP suite"),
        (("AES_CM_128_HMAC_SHA1_80", REMOTE[:16], LOCAL), "the remote key and salt .* 30 bytes together, not 16"),
        (("AES_CM_128_HMAC_SHA1_80", REMOTE, b""), "the local key"),
    ],
)
def test_wrong_keys_are_refused(srtp: tuple[str, bytes, bytes], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        Stream(codecs={8: "alaw"}, srtp=srtp)


@pytest.mark.parametrize("mux", [False, True])
@pytest.mark.parametrize("suite", [None, *SUITES])
def test_rtcp_and_silence_on_the_wire(suite: str | None, mux: bool) -> None:
    """A leg hears the peer's report, and the peer gets ours and the silence, all with SRTP where it is agreed."""
    receiver = Receiver(tick_ms=5)
    ours = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2)]
    theirs = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2)]
    for one in [*ours, *theirs]:
        one.bind(("127.0.0.1", 0))
        one.settimeout(5)
    keys = None if suite is None else (suite, REMOTE, LOCAL)
    receiver.add(
        1,
        ours[0].fileno(),
        codecs={8: "alaw"},
        remote=theirs[0].getsockname(),
        rtcp_fd=ours[1].fileno(),
        rtcp_port=theirs[1].getsockname()[1],
        mux=mux,
        srtp=keys,
        ssrc=77,
        keepalive=8,
    )
    protect = (lambda packet: packet) if suite is None else (peer := sender(suite)).protect
    protect_rtcp = (lambda packet: packet) if suite is None else peer.protect_rtcp
    back = None
    if suite is not None:
        back = Session(Policy(key=LOCAL, ssrc_type=Policy.SSRC_ANY_INBOUND, srtp_profile=SUITES[suite]))
    theirs[0].sendto(protect(rtp(0, 0, voice(0))), ours[0].getsockname())
    end = 0 if mux else 1
    while receiver.stats(1).packets == 0:
        select.select([receiver.fileno()], [], [], 0.05)
    theirs[end].sendto(protect_rtcp(REPORT), ours[end].getsockname())
    found: list[Chunk | Control] = []
    while not any(isinstance(item, Control) for item in found):
        assert select.select([receiver.fileno()], [], [], 5)[0]
        found += receiver.drain()
    (control,) = [item for item in found if isinstance(item, Control)]
    assert (control.leg, control.packet, control.sample, control.timestamp) == (1, REPORT, 160, 160)
    assert receiver.send_control(1, REPORT)
    silence = []
    got = None
    while len(silence) < 10 or got is None:
        packet = theirs[0].recv(2048)
        if 192 <= packet[1] < 224:
            got = packet
        else:
            silence.append(packet if back is None else back.unprotect(packet))
        if not mux and got is None:
            got = theirs[1].recv(2048)
    assert (got if back is None else back.unprotect_rtcp(got)) == REPORT
    heads = [struct.unpack("!BBHII", packet[:12]) for packet in silence]
    assert [(head[2] - heads[0][2], head[3] - heads[0][3]) for head in heads] == [(n, n * 160) for n in range(10)]
    assert {(head[1], head[4]) for head in heads} == {(8, 77)}
    assert all(packet[12:] == b"\xd5" * 160 for packet in silence)
    receiver.update(1, codecs={8: "alaw"}, remote=theirs[0].getsockname(), mux=mux, srtp=keys)
    receiver.remove(1)
    while not any(isinstance(item, Chunk) and item.last for item in found):
        assert select.select([receiver.fileno()], [], [], 5)[0]
        found += receiver.drain()
    assert payload(chunks(found)) == voice(0)  # type: ignore[arg-type]
    receiver.close()
    for one in [*ours, *theirs]:
        one.close()
