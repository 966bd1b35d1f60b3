"""Viewers of the stream, in a process of their own: ``viewers.py URL COUNT SECONDS`` prints what each got as JSON."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from datetime import datetime

import aiohttp


async def view(client: aiohttp.ClientSession, url: str, delays: list[float]) -> int:
    """Counts the partials that one viewer gets until the stream rests for two seconds."""
    count, rest = 0, ""
    async with client.get(url) as answer:
        while True:
            try:
                data = await asyncio.wait_for(answer.content.readany(), 3)
            except TimeoutError:
                return count
            now = time.time()
            parts = (rest + data.decode()).split("\n\n")
            rest = parts.pop()
            for part in parts:
                if "\nevent: call\n" in part and '"transcript.partial"' in part:
                    count += 1
                    if count % 50 == 0:
                        sent = json.loads(part.rpartition("data: ")[2])["id"]
                        # a UUIDv7 begins with the milliseconds of its making
                        delays.append(now * 1000 - int(sent.replace("-", "")[:12], 16))


async def main() -> None:
    url, count = sys.argv[1], int(sys.argv[2])
    delays: list[float] = []
    timeout = aiohttp.ClientTimeout(total=float(sys.argv[3]) + 20)
    async with aiohttp.ClientSession(timeout=timeout, connector=aiohttp.TCPConnector(limit=0)) as client:
        counts = await asyncio.gather(*(view(client, url, delays) for _ in range(count)))
    delays.sort()
    print(json.dumps({"events": counts, "p95": delays[int(len(delays) * 0.95)], "at": datetime.now().isoformat()}))


asyncio.run(main())
