"""The native RTP receiver: one thread without the GIL takes the packets of all legs and hands over finished chunks."""

from collections.abc import Mapping

from gateway.media.chunks import Chunk, Control, Digit
from gateway.media.stats import StreamStats, Totals

class Receiver:
    """Receives the RTP of all legs (RFC 3550, 3551, 3389, 4733).

    A thread reads every leg's socket once a tick, puts packets in order, tells loss from pauses, and cuts each leg's
    clock into chunks. A leg's clock starts with its first packet and follows the RTP timestamps; while no RTP comes
    nothing advances, and the timestamp of the next packet says what the time between was. A timestamp or SSRC of
    another stream ties the clock anew: it goes on by the time between the arrivals.

    Chunks end on multiples of ``chunk_ms`` of the leg's clock, and earlier where the codec changes, before and after a
    pause too long to be streamed, when no packet has come for 100 ms, and when the leg is removed.

    Where packets come from: the signalled address is trusted with its first packet, whatever its port. Another address
    must show two packets in a row while the signalled one has sent nothing (symmetric NAT), within ``learn_ms``, and
    gives way to the signalled one whenever that sends. From then on only that address and port, and its SSRC, count; a
    new SSRC must show two packets in a row. All the rest is dropped and counted as foreign.

    The queue of what was not drained is bounded. While it is full the newest audio is dropped and counted; when there
    is room again, one chunk without payload, of kind CONCEALED, stands for it. A last chunk always finds room.

    Every method is for one Python thread. Any but ``close`` raises ValueError after ``close``.
    """

    def __init__(
        self,
        *,
        tick_ms: int = 5,
        chunk_ms: int = 100,
        reorder_ms: int = 40,
        conceal_ms: int = 60,
        pause_fill_ms: int = 2000,
        learn_ms: int = 10000,
        backlog: int = 65536,
    ) -> None:
        """Starts the thread.

        Args:
            tick_ms: How often sockets are read and Python is told, up to 100; 0 for at once, at the price of a wake-up
                for nearly every packet.
            chunk_ms: Length of a chunk, 10 to 1000.
            reorder_ms: How long a missing packet is waited for, 0 to 500.
            conceal_ms: How much of a loss is filled by repeating and fading; the rest of it is silence. 0 to 1000.
            pause_fill_ms: How much silence in one run is streamed as bytes, 0 to 60000; the rest is a chunk without
                payload.
            learn_ms: How long after ``add``, or after an update that names a new address, a source other than the
                signalled one may be learnt (NAT); 0 for never.
            backlog: Chunks, digits and RTCP packets that wait for ``drain`` at most.

        Raises:
            ValueError: A setting is out of range.
            OSError: There are no descriptors or threads left.
        """

    def fileno(self) -> int:
        """Returns a descriptor that is readable when ``drain`` has something; at most one wake-up a tick."""

    def add(
        self,
        leg: int,
        fd: int,
        *,
        codecs: Mapping[int, str],
        remote: tuple[str, int] | None,
        telephone_event: int = -1,
        comfort_noise: int = -1,
        rtcp_fd: int = -1,
        rtcp_port: int = 0,
        mux: bool = False,
        srtp: tuple[str, bytes, bytes] | None = None,
        ssrc: int = 0,
        keepalive: int = -1,
    ) -> None:
        """Takes up a leg.

        Args:
            leg: Its number, free to choose; free again when its last chunk was drained.
            fd: A bound UDP socket. It stays the caller's, and open until the leg's last chunk was drained.
            codecs: The negotiated G.711 payload types, each ``"alaw"`` or ``"mulaw"``; until audio comes, silence is
                in the first.
            remote: Numeric address and port that the peer's SDP names; while it is None, unspecified or has port 0, the
                first source is trusted.
            telephone_event: Payload type of RFC 4733 events, -1 for none.
            comfort_noise: Payload type of RFC 3389 comfort noise, -1 for none.
            rtcp_fd: A bound UDP socket for RTCP, kept open likewise; -1 for none.
            rtcp_port: Where the peer takes RTCP, as its SDP says (RFC 3605); 0 for the port above its RTP port.
            mux: RTCP comes and goes on the RTP port (RFC 5761).
            srtp: SRTP's suite (``AES_CM_128_HMAC_SHA1_80`` or ``_32``) with the peer's and our own master key and salt,
                30 bytes each (RFC 4568); None for plain RTP.
            ssrc: Our own, for what is sent.
            keepalive: Payload type, one of ``codecs``, of the silence that is sent every 20 ms to peers that hang up
                without; -1 for none.

        Raises:
            ValueError: The leg is there, a codec is not G.711, a payload type is out of range, the remote address is
                not numeric, or the SRTP suite or a key is wrong.
            RuntimeError: SRTP is asked for, and its library is not installed.
            OSError: The socket cannot be watched.
        """

    def update(
        self,
        leg: int,
        *,
        codecs: Mapping[int, str],
        remote: tuple[str, int] | None,
        telephone_event: int = -1,
        comfort_noise: int = -1,
        rtcp_port: int = 0,
        mux: bool = False,
        srtp: tuple[str, bytes, bytes] | None = None,
        keepalive: int = -1,
    ) -> None:
        """Takes what a re-INVITE or UPDATE negotiated; the leg's clock goes on.

        A new ``remote`` lets the source be learnt again. The same one as before (session refresh), an unspecified
        address (0.0.0.0, ``::``), port 0 (hold) or None leaves the source locked. The same SRTP keys go on with their
        packet counters.

        Raises:
            KeyError: There is no such leg, or it was removed.
            ValueError: As for ``add``; nothing was changed.
        """

    def send_control(self, leg: int, packet: bytes | bytearray) -> bool:
        """Sends RTCP to the peer, where its own comes from or else where its SDP says; protected where the leg is.

        Returns:
            Whether it went out: False while nobody knows where to.

        Raises:
            KeyError: There is no such leg, or it was removed.
            ValueError: The packet is too short or too long.
        """

    def remove(self, leg: int) -> None:
        """Ends a leg: what its socket still holds is read, what waits is played, and a chunk with ``last`` comes.

        Raises:
            KeyError: There is no such leg, or it was removed already.
        """

    def calm(self, leg: int, samples: int, level: int) -> None:
        """Says that nobody speaks on a leg, so that its chunks may be longer until a frame is louder than a level.

        They still end on multiples of ``chunk_ms``. That frame ends the calm, and the silence before it is handed over
        at once. Does nothing for a leg that ended.

        Args:
            leg: Its number.
            samples: Length of a chunk meanwhile, 0 to 16000; 0 ends the calm.
            level: In -dBov, 0 (loudest) to 127, as ``Chunk.levels`` are.

        Raises:
            ValueError: An argument is out of range.
        """

    def drain(self) -> list[Chunk | Control | Digit]:
        """Returns all that is ready, each leg's in order, and makes ``fileno`` unreadable; never waits."""

    def stats(self, leg: int) -> StreamStats:
        """Returns a leg's counters, those of a removed leg too.

        When its last chunk has been drained they stay as they are; of legs that ended so, the latest 4096 are known.

        Raises:
            KeyError: There is no such leg.
        """

    def still(self, seconds: float) -> list[int]:
        """Returns the legs whose own source has sent no packet for so long, or never has."""

    def totals(self) -> Totals:
        """Returns the sums over all legs, and how full the queue is.

        For every scrape: about 0.1 ms for 1000 legs, in which the thread waits. Any Python thread may call it.
        """

    def dropped(self) -> int:
        """Returns how many chunks and digits were dropped because too many waited for ``drain``."""

    def close(self) -> None:
        """Stops the thread. What was not drained is gone; legs get no last chunk. May be called twice."""

class Stream:
    """One leg's stream without socket and thread: packets in, chunks out; time comes in as an argument."""

    def __init__(
        self,
        *,
        leg: int = 0,
        codecs: Mapping[int, str],
        remote: tuple[str, int] | None = None,
        telephone_event: int = -1,
        comfort_noise: int = -1,
        mux: bool = False,
        srtp: tuple[str, bytes, bytes] | None = None,
        now: int = 0,
        chunk_ms: int = 100,
        reorder_ms: int = 40,
        conceal_ms: int = 60,
        pause_fill_ms: int = 2000,
        learn_ms: int = 10000,
        backlog: int = 65536,
    ) -> None:
        """Takes what ``Receiver`` and ``Receiver.add`` take; the learning window begins at ``now``.

        Raises:
            ValueError: As there.
        """

    def push(
        self, packet: bytes | bytearray | memoryview, arrival: int, source: tuple[str, int] = ("127.0.0.1", 4000)
    ) -> list[Chunk | Control | Digit]:
        """Takes a datagram that came at ``arrival`` (monotonic nanoseconds); returns what is ready."""

    def push_control(
        self, packet: bytes | bytearray | memoryview, arrival: int, source: tuple[str, int] = ("127.0.0.1", 4001)
    ) -> list[Chunk | Control | Digit]:
        """Takes a datagram of the RTCP port."""

    def tick(self, now: int) -> list[Chunk | Control | Digit]:
        """Lets packets go whose reordering window is over; returns what is ready."""

    def update(
        self,
        *,
        codecs: Mapping[int, str],
        remote: tuple[str, int] | None,
        telephone_event: int = -1,
        comfort_noise: int = -1,
        mux: bool = False,
        srtp: tuple[str, bytes, bytes] | None = None,
        now: int = 0,
    ) -> None:
        """As ``Receiver.update``."""

    def finish(self) -> list[Chunk | Control | Digit]:
        """Ends the stream; the last chunk says so."""

    def calm(self, samples: int, level: int) -> None:
        """As ``Receiver.calm``."""

    def stats(self) -> StreamStats:
        """Returns the counters."""

    def dropped(self) -> int:
        """Returns how many chunks and digits did not fit into ``backlog``."""
