"""The metrics of a whole gateway after real calls: each value is held against what the test itself sent and got."""

from __future__ import annotations

import asyncio
import re
import socket
import struct
from collections.abc import Callable
from pathlib import Path

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

from gateway import events
from gateway.asr.fake.words import say
from gateway.delivery.consumer import Answer
from tests.peers.claims import Claim
from tests.peers.gateway import GatewayProcess
from tests.peers.sip_peer import SipPeer, sdp
from tests.prove.live.stage import Wire, palatine, recogniser

FRAME = 160
KEYS = "0123456789*#"


class Phone:
    """Sends words in real time on one RTP stream, as its hand wants it: with holes, repeats and keys."""

    def __init__(self, media: socket.socket, target: tuple[str, int], audio: bytes) -> None:
        self.media, self.target, self.audio = media, target, audio
        self.packets = self.lost = self.repeated = 0
        self.bytes = 0
        self._seq = 0

    async def speak(self) -> None:
        """Says all; of every fifty packets one is never sent, and another goes twice."""
        begun = asyncio.get_running_loop().time()
        for number in range(len(self.audio) // FRAME):
            await asyncio.sleep(max(0.0, begun + number * 0.02 - asyncio.get_running_loop().time()))
            data = self._packet(8, number, self.audio[number * FRAME : (number + 1) * FRAME])
            if number % 50 == 30:
                self.lost += 1
                continue
            self._send(data)
            self.bytes += FRAME
            if number % 50 == 40:
                self._send(data)
                self.repeated += 1

    def press(self, key: str, at: int) -> None:
        """Presses a key at a packet's place; it lasts 40 ms and ends with three packets (RFC 4733)."""
        for _ in range(3):
            self._send(self._packet(101, at, struct.pack("!BBH", KEYS.index(key), 0x80 | 10, 320)))

    def _packet(self, payload_type: int, number: int, payload: bytes) -> bytes:
        head = struct.pack("!BBHII", 0x80, payload_type, self._seq & 0xFFFF, number * FRAME, 7)
        self._seq += 1
        return head + payload

    def _send(self, data: bytes) -> None:
        self.media.sendto(data, self.target)
        self.packets += 1


class Scrapes:
    """Reads the gateway's metrics."""

    def __init__(self, port: int) -> None:
        self._url = f"http://127.0.0.1:{port}/metrics"
        self.helps: dict[str, str] = {}
        self.values: dict[str, float] = {}

    async def read(self) -> dict[str, float]:
        """Returns all values, each under its name with its labels, sorted by theirs: ``name{b}`` or ``name{b,c}``."""
        async with aiohttp.ClientSession() as client, client.get(self._url) as answer:
            text = await answer.text()
        self.values = {}
        for family in text_string_to_metric_families(text):
            self.helps[family.name] = family.documentation
            for sample in family.samples:
                labels = ",".join(sample.labels.values())
                name = sample.name.removeprefix("asr_gateway_")
                self.values[name + (f"{{{labels}}}" if labels else "")] = sample.value
        return self.values

    async def until(self, condition: Callable[[dict[str, float]], bool], seconds: float = 40) -> dict[str, float]:
        """Reads until a condition holds."""
        until = asyncio.get_running_loop().time() + seconds
        while not condition(await self.read()):
            assert asyncio.get_running_loop().time() < until, {
                n: v for n, v in self.values.items() if n.startswith("asr_")
            }
            await asyncio.sleep(0.1)
        return self.values


async def test_values_after_real_calls(tmp_path: Path, claim: Claim) -> None:
    refused = [False]

    def answer(event: events.Event) -> Answer:
        if isinstance(event.data, events.CallStarted) and not refused[0]:
            refused[0] = True
            return Answer(status=500)
        return Answer()

    words = say([None, *(code for word in range(1, 19) for code in (word, None if word % 3 == 0 else word + 100))])
    limited = palatine(0) + "session_seconds = 8\n"
    settings = '[calls]\npause_code = "*9"\nresume_code = "*8"\n'
    async with (
        recogniser() as port,
        Wire(port) as wire,
        GatewayProcess(
            tmp_path, asr=limited.replace(":0/", f":{wire.port}/"), settings=settings, answer=answer
        ) as gateway,
    ):
        scrapes = Scrapes(gateway.metrics_port)
        stranger = SipPeer(gateway.sip_port)
        declined = await stranger.invite(sdp("m=audio 4000 RTP/AVP 9\r\n"))
        assert declined.code == 488
        peer = SipPeer(gateway.sip_port)
        media, foreign = (socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2))
        media.bind(("127.0.0.1", 0))
        offer = f"m=audio {media.getsockname()[1]} RTP/AVP 8 101\r\na=rtpmap:101 telephone-event/8000\r\n"
        answered = await peer.invite(sdp(offer))
        found = re.search(r"m=audio (\d+)", answered.body)
        assert found is not None
        phone = Phone(media, ("127.0.0.1", int(found[1])), words[: len(words) // FRAME * FRAME])
        speaking = asyncio.create_task(phone.speak())
        up = await scrapes.until(lambda now: now.get("asr_sessions{palatine,open}") == 1)
        assert (up["calls"], up["legs"], up["legs_answered_total"]) == (1, 1, 1)
        assert up["rtp_packets_total{received}"] > 0, "legs that are up count"
        assert 0 <= up["rtp_jitter_seconds{mean}"] == up["rtp_jitter_seconds{worst}"] < 1
        for _ in range(7):
            foreign.sendto(b"\x80\x08" + bytes(170), phone.target)
        wire.down = True
        wire.cut()
        behind = await scrapes.until(lambda now: now["asr_backlog_seconds"] > 1)
        assert behind["asr_backlog_worst_seconds"] == behind["asr_backlog_seconds"]
        wire.down = False
        await scrapes.until(lambda now: now.get("asr_sessions_begun_total{regained,palatine}", 0) >= 1)
        await speaking
        last = len(phone.audio) // FRAME
        for place, key in enumerate("*94*81"):
            phone.press(key, last + 5 * place)
            await asyncio.sleep(0.1)
        await asyncio.sleep(0.3)
        await peer.bye()
        (done,) = await gateway.completed()
        after = await scrapes.until(
            lambda now: (
                now["asr_backlog_seconds"] == 0
                and now["asr_sessions{palatine,open}"] == 0
                and now["webhook_waiting_events{consumer}"] == 0
                and now["asr_written_bytes_total{palatine}"] > 0
            )
        )
        requests = gateway.consumer.summary
        for one in (stranger, peer):
            one.close()
        media.close()
        foreign.close()

    assert done.completed is not None
    (leg,) = done.completed.legs
    assert after["calls"] == after["legs"] == 0
    assert after["legs_ended_total{bye}"] == 1
    assert sum(value for name, value in after.items() if name.startswith("calls_refused_total")) == 1
    assert after["call_setup_seconds_count"] == 1
    assert 0 < after["call_setup_seconds_sum"] < 5
    assert after["rtp_packets_total{received}"] == phone.packets
    assert after["rtp_packets_total{lost}"] == phone.lost == leg.lost > 0
    assert after["rtp_packets_total{duplicates}"] == phone.repeated
    assert after["rtp_packets_total{foreign}"] == 7
    assert after["rtp_payload_bytes_total"] == phone.bytes == leg.received
    assert after["receiver_waiting_items"] == after["receiver_dropped_items_total"] == 0
    assert after["receiver_room_items"] > 1000
    told = "".join(item.key for item in done.of(events.LegDtmf))
    assert told == "*91"
    assert (after["dtmf_keys_total{told}"], after["dtmf_keys_total{withheld}"]) == (3, 3)
    assert after["asr_sessions_begun_total{first,palatine}"] == 1
    assert sum(value for name, value in after.items() if name.startswith("asr_sessions_lost_total")) == 1
    assert after["asr_sessions_begun_total{continued,palatine}"] >= 1, "a session holds 8 s"
    # what the lost session had is sent again
    assert leg.sent <= after["asr_written_bytes_total{palatine}"] <= 2 * leg.sent
    assert after["webhook_attempts_total{consumer,refused}"] == 1
    assert after["webhook_attempts_total{consumer,delivered}"] == requests.received - 1
    assert after["webhook_oldest_waiting_seconds{consumer}"] == 0
    assert after["store_bytes"] > 10_000
    assert 0 <= after["event_loop_lag_seconds"] < 5
    build = next(name for name in after if name.startswith("build_info"))
    assert re.search(r"2\.\d+", build), build
    bare = [name for name, text in scrapes.helps.items() if not text]
    claim("metrics: families after real calls, values as sent and got, and those without a help text",
          f"{len(scrapes.helps)}, {bare}", not bare)  # fmt: skip
