import asyncio
import itertools
import sqlite3
import time
from collections import Counter
from datetime import UTC, datetime

from aiohttp import web
from standardwebhooks import Webhook
from structlog.testing import capture_logs

from gateway.delivery.consumer import Answer
from gateway.delivery.outbox import Outbox
from gateway.delivery.settings import Delivery
from gateway.delivery.store import DEAD, DELIVERED, PENDING
from gateway.delivery.webhooks import Deliverer


async def serve(handler):
    application = web.Application()
    application.router.add_route("*", "/{tail:.*}", handler)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    return runner, f"http://127.0.0.1:{runner.addresses[0][1]}/"


async def test_events_arrive_signed_in_order_and_unchanged(
    deliverer, consumer, endpoint, calls, recorder, path, stored
):
    url, peer, received = await consumer()
    deliver = await deliverer(endpoint("a", url))
    events = [calls.held(f"c{index % 20}") for index in range(400)]
    for event in events:
        deliver.publish(event)
    assert await deliver.flush(10) == 0
    assert (peer.summary.received, peer.summary.verified, peer.summary.accepted) == (400, 400, 400)
    assert (peer.summary.duplicates, peer.summary.out_of_order) == (0, 0)
    assert sorted(received, key=lambda event: event.id) == sorted(events, key=lambda event: event.id)
    assert Counter(recorder.attempts) == {("a", "call.updated", "delivered", 204): 400}
    assert {(name, event.id) for name, event, _ in recorder.delivered_events} == {("a", event.id) for event in events}
    await deliver.stop()
    assert stored(path) == {("a", DELIVERED): 400}


async def test_every_attempt_has_the_same_body_and_id_and_a_signature_of_its_own(endpoint, calls, secret, path):
    requests = []

    async def handle(request):
        requests.append((request.method, dict(request.headers), await request.read()))
        return web.Response(status=500 if len(requests) == 1 else 200, headers={"set-cookie": "a=b"})

    runner, url = await serve(handle)
    clock = itertools.count(1_700_000_000, 1000)
    settings = Delivery(database=path, endpoints=[endpoint("a", url)])
    deliver = Deliverer(Outbox(path), settings, clock=lambda: next(clock))
    await deliver.start()
    event = calls.held("c1")
    deliver.publish(event)
    assert await deliver.flush(5) == 0
    await deliver.stop()
    await runner.cleanup()
    (_, first, body), (method, second, again) = requests
    assert body == again == event.wire()
    assert method == "POST"
    lower = [{name.lower(): value for name, value in headers.items()} for headers in (first, second)]
    assert [headers["webhook-id"] for headers in lower] == [event.id] * 2
    assert lower[0]["webhook-timestamp"] != lower[1]["webhook-timestamp"]
    assert lower[0]["webhook-signature"] != lower[1]["webhook-signature"]
    assert lower[0]["content-type"] == "application/json"
    assert "cookie" not in lower[1]
    for headers in lower:
        stamp = datetime.fromtimestamp(int(headers["webhook-timestamp"]), UTC)
        assert headers["webhook-signature"] == Webhook(secret).sign(event.id, stamp, body.decode())


async def test_a_retry_keeps_its_calls_order_and_delays_no_other_call(deliverer, consumer, endpoint, calls, recorder):
    failures = iter([500, 500])

    def answer(event):
        return Answer(next(failures, 204) if event.call.id == "bad" and event.seq == 2 else 204)

    url, peer, received = await consumer(answer)
    deliver = await deliverer(endpoint("a", url, concurrency=1, retry_seconds=[0.3, 0.3, 0.3]))
    for _ in range(5):
        deliver.publish(calls.held("bad"))
    for _ in range(5):
        deliver.publish(calls.held("good"))
    assert await deliver.flush(10) == 0
    assert received.seqs("bad") == [1, 2, 3, 4, 5]
    assert received.seqs("good") == [1, 2, 3, 4, 5]
    order = [(event.call.id, event.seq) for event in received]
    assert order.index(("good", 5)) < order.index(("bad", 2))
    assert peer.summary.out_of_order == peer.summary.duplicates == 0
    assert [attempt[2:] for attempt in recorder.attempts if attempt[2] != "delivered"] == [("refused", 500)] * 2


async def test_a_dead_endpoint_does_not_touch_a_healthy_one(
    deliverer, consumer, endpoint, calls, recorder, path, stored
):
    url, _, received = await consumer()
    deliver = await deliverer(endpoint("dead", "http://127.0.0.1:9/", retry_seconds=[60]), endpoint("well", url))
    for index in range(100):
        deliver.publish(calls.held(f"c{index % 5}"))
    assert await deliver.flush(0.5) == 100
    assert deliver.waiting == {"dead": 100, "well": 0}
    assert len(received) == 100
    assert {attempt[2:] for attempt in recorder.attempts if attempt[0] == "dead"} == {("unreachable", 0)}
    await deliver.stop()
    assert stored(path) == {("dead", PENDING): 100, ("well", DELIVERED): 100}


async def test_after_the_last_attempt_an_event_is_a_dead_letter_and_the_next_one_goes(
    deliverer, consumer, endpoint, calls, recorder, path, stored
):
    url, peer, received = await consumer(lambda event: Answer(500 if event.seq == 1 else 200))
    deliver = await deliverer(endpoint("a", url, retry_seconds=[0.01, 0.01]))
    deliver.publish(calls.held("c1"))
    deliver.publish(calls.held("c1"))
    assert await deliver.flush(5) == 0
    assert received.seqs("c1") == [2]
    assert peer.summary.refused == 3
    assert recorder.dead_letters == [("a", "call.updated")]
    await deliver.stop()
    assert stored(path) == {("a", DEAD): 1, ("a", DELIVERED): 1}


async def test_410_disables_the_endpoint_until_the_next_start(deliverer, consumer, endpoint, calls, recorder):
    gone = [True]
    url, peer, received = await consumer(lambda _: Answer(410 if gone[0] else 200))
    deliver = await deliverer(endpoint("a", url, concurrency=1))
    with capture_logs() as logs:
        for call in ("c1", "c1", "c2"):
            deliver.publish(calls.held(call))
        await deliver.flush(5)
        deliver.publish(calls.held("c2"))
        await deliver.flush(1)
    assert peer.summary.received == 1
    assert recorder.disabled_endpoints == ["a"]
    assert [entry["log_level"] for entry in logs if "410 Gone" in entry["event"]] == ["error"]
    await deliver.stop()
    gone[0] = False
    again = await deliverer(endpoint("a", url))
    assert await again.flush(5) == 0
    assert (received.seqs("c1"), received.seqs("c2")) == ([1, 2], [1, 2])


async def test_a_redirect_is_not_followed(deliverer, endpoint, calls, recorder):
    seen = []

    async def handle(request):
        seen.append(request.path)
        raise web.HTTPTemporaryRedirect("/elsewhere")

    runner, url = await serve(handle)
    deliver = await deliverer(endpoint("a", url, retry_seconds=[0.01]))
    deliver.publish(calls.held("c1"))
    assert await deliver.flush(5) == 0
    assert seen == ["/", "/"]
    assert [attempt[2:] for attempt in recorder.attempts] == [("redirected", 307)] * 2
    assert recorder.dead_letters == [("a", "call.updated")]
    await runner.cleanup()


async def test_retry_after_is_honoured(deliverer, consumer, endpoint, calls, path):
    url, _, received = await consumer(lambda _: Answer(429, {"retry-after": "100"}))
    deliver = await deliverer(endpoint("a", url, retry_seconds=[0.01] * 5))
    deliver.publish(calls.held("c1"))
    assert await deliver.flush(5) == 1
    assert received == []
    await deliver.stop()
    connection = sqlite3.connect(path)
    attempts, due = connection.execute("SELECT attempts, due FROM deliveries").fetchone()
    assert attempts == 1
    assert 90 < due - time.time() < 121


async def test_a_slow_endpoint_times_out_and_holds_its_call_only(deliverer, consumer, endpoint, calls, recorder):
    slow = [True]
    url, _, received = await consumer(
        lambda event: Answer(delay=5 if event.call.id == "slow" and slow and slow.pop() else 0)
    )
    deliver = await deliverer(endpoint("a", url, timeout_seconds=0.2, concurrency=2))
    for call in ("slow", "slow", "quick", "quick", "quick"):
        deliver.publish(calls.held(call))
    assert await deliver.flush(5) == 0
    assert [(event.call.id, event.seq) for event in received] == [
        *[("quick", seq) for seq in (1, 2, 3)],
        *[("slow", seq) for seq in (1, 2)],
    ]
    assert [attempt[2:] for attempt in recorder.attempts if attempt[2] != "delivered"] == [("timeout", 0)]


async def test_a_response_without_end_counts_by_its_status_and_is_cut(deliverer, endpoint, calls, recorder):
    async def handle(request):
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(bytes(65536))

    runner, url = await serve(handle)
    deliver = await deliverer(endpoint("a", url))
    deliver.publish(calls.held("c1"))
    assert await deliver.flush(5) == 0
    assert recorder.attempts == [("a", "call.updated", "delivered", 200)]
    await runner.cleanup()


async def test_concurrency_is_the_number_of_requests_at_once(deliverer, gate, endpoint, calls):
    deliver = await deliverer(endpoint("a", gate.url, concurrency=3))
    for call in ("c1", "c1", "c2", "c3", "c4"):
        deliver.publish(calls.held(call))
    await gate.requests(3)
    await asyncio.sleep(0.1)
    assert sorted(event.call.id for event in gate.bodies) == ["c1", "c2", "c3"]
    gate.open.set()
    assert await deliver.flush(5) == 0


async def test_patterns_choose_the_events_of_an_endpoint(deliverer, consumer, endpoint, calls):
    url_words, _, words = await consumer()
    url_calls, _, others = await consumer()
    deliver = await deliverer(
        endpoint("words", url_words, events=["transcript.*"]), endpoint("calls", url_calls, events=["call.*", "leg.*"])
    )
    deliver.publish(calls.held("c1"))
    deliver.publish(calls.partial("c1", 1, "he"))
    await asyncio.sleep(0)
    deliver.publish(calls.final("c1", 1, "hello"))
    assert await deliver.flush(5) == 0
    assert [event.type for event in words] == ["transcript.partial", "transcript.final"]
    assert [event.type for event in others] == ["call.updated"]


async def test_partials_go_at_once_and_the_latest_of_a_leg_wins(
    deliverer, gate, endpoint, calls, recorder, path, stored
):
    deliver = await deliverer(endpoint("a", gate.url))
    deliver.publish(calls.partial("c1", 1, "one"))
    await gate.requests(1)
    for text in ("one two", "one two three"):
        deliver.publish(calls.partial("c1", 1, text))
    deliver.publish(calls.partial("c1", 1, "hello", leg="agent"))
    gate.open.set()
    assert await deliver.flush(5) == 0
    assert [event.data.text for event in gate.bodies] == ["one", "one two three", "hello"]
    assert recorder.drops == [("a", "transcript.partial", "superseded")]
    await deliver.stop()
    assert stored(path) == {}


async def test_a_partial_never_comes_after_the_final_of_its_utterance(deliverer, gate, endpoint, calls, recorder):
    deliver = await deliverer(endpoint("a", gate.url))
    deliver.publish(calls.partial("c1", 1, "on its way"))
    await gate.requests(1)
    deliver.publish(calls.partial("c1", 1, "waits"))
    late = calls.partial("c1", 1, "too late")
    deliver.publish(calls.final("c1", 1, "the final"))
    deliver.publish(late)
    await asyncio.sleep(0.05)
    # the final does not overtake the partial that is under way
    assert len(gate.bodies) == 1
    deliver.publish(calls.partial("c1", 2, "the next"))
    gate.open.set()
    assert await deliver.flush(5) == 0
    assert [event.data.text for event in gate.bodies] == ["on its way", "the final", "the next"]
    assert recorder.drops == [("a", "transcript.partial", "superseded")]


async def test_partials_are_not_retried_and_not_sent_late(deliverer, consumer, endpoint, calls, recorder):
    broken = [True]
    url, peer, received = await consumer(lambda event: Answer(503 if not event.durable or broken[0] else 200))
    deliver = await deliverer(endpoint("a", url, retry_seconds=[0.3, 0.3]), partial_seconds=0.1)
    deliver.publish(calls.partial("c1", 1, "refused"))
    await deliver.flush(5)
    assert recorder.drops == [("a", "transcript.partial", "failed")]
    deliver.publish(calls.held("c1"))
    deliver.publish(calls.partial("c1", 1, "waits behind the retry"))
    await asyncio.sleep(0.05)
    broken[0] = False
    assert await deliver.flush(5) == 0
    assert received.seqs("c1") == [1]
    assert recorder.drops[1:] == [("a", "transcript.partial", "expired")]
    assert peer.summary.received == 3


async def test_a_restart_takes_up_what_was_left_in_order(deliverer, consumer, endpoint, calls):
    first = await deliverer(endpoint("a", "http://127.0.0.1:9/", retry_seconds=[0.01, *[60] * 5]))
    for index in range(90):
        first.publish(calls.held(f"c{index % 3}"))
    await first.flush(0.2)
    await first.stop()
    url, peer, received = await consumer()
    # the heads of the calls have waits of a minute behind them: they are due then, and not at once
    connection = sqlite3.connect(first._outbox._path)
    assert connection.execute("SELECT count(*) FROM deliveries WHERE due > ?", [time.time() + 30]).fetchone() == (3,)
    connection.execute("UPDATE deliveries SET due = 0")
    connection.commit()
    connection.close()
    second = await deliverer(endpoint("a", url))
    for index in range(30):
        second.publish(calls.held(f"c{index % 3}"))
    assert await second.flush(5) == 0
    for call in ("c0", "c1", "c2"):
        assert received.seqs(call) == list(range(1, 41))
    assert peer.summary.duplicates == 0


async def test_an_observer_that_fails_stops_nothing(deliverer, consumer, endpoint, calls, recorder):
    def fail(*_arguments):
        raise RuntimeError("not my day")

    recorder.attempted = fail
    recorder.delivered = fail
    url, _, received = await consumer()
    deliver = await deliverer(endpoint("a", url))
    deliver.publish(calls.held("c1"))
    deliver.publish(calls.held("c1"))
    assert await deliver.flush(5) == 0
    assert received.seqs("c1") == [1, 2]


async def test_logs_hold_no_secret(deliverer, endpoint, calls, secret):
    with capture_logs() as logs:
        deliver = await deliverer(
            endpoint("a", "http://user:pass123@127.0.0.1:9/hook?token=abc789#frag", retry_seconds=[0.01])
        )
        deliver.publish(calls.held("c1"))
        assert await deliver.flush(5) == 0
    text = repr(logs)
    assert "http://127.0.0.1:9/hook'" in text
    for hidden in ("pass123", "abc789", secret.removeprefix("whsec_")):
        assert hidden not in text
