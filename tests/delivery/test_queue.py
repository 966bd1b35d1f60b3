import itertools

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from gateway.delivery.queue import Queue

CALLS = st.sampled_from(["a", "b", "c", "d"])


def take_all(queue, now=0.0):
    taken = []
    while work := queue.next(now):
        taken.append((work.call, work.number or work.partial))
    return taken


def test_one_of_a_call_and_so_many_calls_at_once():
    queue = Queue(concurrency=2)
    for number, call in enumerate(["a", "a", "b", "c"], 1):
        queue.add(call, number, committed=True)
    assert take_all(queue) == [("a", 1), ("b", 3)]
    queue.delivered("a")
    assert take_all(queue) == [("c", 4)]
    queue.delivered("b")
    assert take_all(queue) == [("a", 2)]


def test_a_waiting_retry_takes_no_place_and_keeps_its_call_in_order():
    queue = Queue(concurrency=1)
    queue.add("a", 1, committed=True)
    queue.add("a", 2, committed=True)
    queue.add("b", 3, committed=True)
    assert take_all(queue) == [("a", 1)]
    queue.retry("a", due=10)
    assert queue.wake_at() == 10
    assert take_all(queue) == [("b", 3)]
    queue.delivered("b")
    assert take_all(queue, 9.9) == []
    work = queue.next(10)
    assert (work.number, work.attempts) == (1, 1)


def test_an_event_behind_a_dead_letter_knows_it_until_one_is_taken():
    queue = Queue(concurrency=1)
    for number in (1, 2, 3):
        queue.add("a", number, committed=True)
    assert not queue.next(0).after_dead
    queue.delivered("a", dead=True)
    assert queue.next(0).after_dead
    queue.delivered("a")
    assert not queue.next(0).after_dead


def test_release_leaves_those_waiting_for_whom_the_consumer_named_a_time():
    queue = Queue(concurrency=4)
    for number, call in enumerate("ab", 1):
        queue.add(call, number, committed=True)
        queue.next(0)
    queue.retry("a", due=50, firm=True)
    queue.retry("b", due=90)
    queue.release()
    assert take_all(queue, 1) == [("b", 2)]
    assert queue.wake_at() == 50


def test_the_first_in_time_can_go_early():
    queue = Queue(concurrency=4)
    for number, call in enumerate("abc", 1):
        queue.add(call, number, committed=True)
        queue.next(0)
        queue.retry(call, due=100 - number)
    assert queue.early(0).number == 3
    assert queue.next(0) is None
    assert queue.early(0).number == 2


def test_attempts_are_those_of_the_event_at_the_head():
    queue = Queue(concurrency=1)
    queue.add("a", 1, committed=True)
    queue.add("a", 2, committed=True)
    queue.next(0)
    queue.retry("a", due=0)
    queue.next(0)
    queue.retry("a", due=0, counted=False)
    assert queue.next(0).attempts == 1
    queue.delivered("a")
    assert queue.next(0).attempts == 0


def test_an_event_that_is_not_on_disk_holds_up_its_call_only():
    queue = Queue(concurrency=4)
    queue.add("a", 1, committed=False)
    queue.add("a", 2, committed=False)
    queue.add("b", 3, committed=True)
    queue.commit("a", 2)
    assert take_all(queue) == [("b", 3)]
    queue.commit("a", 1)
    assert take_all(queue) == [("a", 1)]


def test_a_partial_that_could_go_opens_no_way_for_an_event_that_is_not_on_disk():
    queue = Queue(concurrency=4)
    queue.offer("a", "caller", "p1", expires=5)
    queue.add("a", 1, committed=False)
    assert take_all(queue) == []
    queue.commit("a", 1)
    assert take_all(queue) == [("a", 1)]


def test_a_partial_waits_for_what_is_durable_and_goes_after_it():
    queue = Queue(concurrency=4)
    queue.add("a", 1, committed=True)
    queue.offer("a", "caller", "p1", expires=5)
    assert take_all(queue) == [("a", 1)]
    queue.delivered("a")
    assert take_all(queue) == [("a", "p1")]
    queue.add("a", 2, committed=True)
    assert take_all(queue) == []
    queue.delivered("a")
    assert take_all(queue) == [("a", 2)]


def test_a_partial_that_waits_is_dropped_when_its_moment_is_gone():
    queue = Queue(concurrency=4)
    queue.add("a", 1, committed=True)
    queue.next(0)
    queue.offer("a", "caller", "p1", expires=5)
    queue.offer("a", "caller", "p2", expires=5)
    queue.offer("a", "agent", "q1", expires=1)
    assert queue.superseded == 1
    queue.delivered("a")
    assert take_all(queue, 2) == [("a", "p2")]
    queue.delivered("a")
    assert take_all(queue, 2) == []
    assert queue.expired == 1
    queue.offer("b", "caller", "r1", expires=5)
    queue.add("b", 2, committed=True)
    assert queue.superseded == 2
    assert take_all(queue, 2) == [("b", 2)]
    queue.delivered("b")
    assert take_all(queue, 2) == []


def test_a_withdrawn_event_lets_the_next_one_go():
    queue = Queue(concurrency=1)
    queue.add("a", 1, committed=False)
    queue.add("a", 2, committed=True)
    queue.withdraw("a", 1)
    assert take_all(queue) == [("a", 2)]
    assert queue.waiting == 1


def test_what_an_earlier_run_left_waits_for_its_time():
    queue = Queue(concurrency=2)
    queue.restore("a", 1, attempts=3, due=100)
    queue.restore("a", 2, attempts=0, due=0)
    queue.restore("b", 3, attempts=0, due=0)
    assert take_all(queue) == [("b", 3)]
    work = queue.next(100)
    assert (work.number, work.attempts) == (1, 3)


def test_after_clear_a_request_in_flight_may_still_end():
    queue = Queue(concurrency=2)
    for number, call in enumerate(["a", "a", "b"], 1):
        queue.add(call, number, committed=True)
    queue.offer("c", "caller", "p", expires=9)
    assert take_all(queue) == [("a", 1), ("b", 3)]
    queue.clear()
    assert queue.waiting == 2
    queue.delivered("a")
    queue.delivered("b")
    assert (queue.waiting, queue.in_flight, take_all(queue)) == (0, 0, [])
    assert queue.settled(1e9)


def test_lanes_of_calls_that_are_over_are_forgotten():
    queue = Queue(concurrency=8)
    for number in range(1, 1001):
        queue.add(f"call{number}", number, committed=True)
        queue.offer(f"call{number}", "caller", "p", expires=0)
        queue.next(1)
        queue.delivered(f"call{number}")
        assert queue.next(1) is None
    assert queue._lanes == {}


class Endpoint(RuleBasedStateMachine):
    """The queue against a list for each call: order, one in flight, nothing lost, nothing twice but retries."""

    def __init__(self):
        super().__init__()
        self.now = 0.0
        self.queue = Queue(concurrency=2)
        self.number = 0
        self.expected: dict[str, list[int]] = {}
        self.uncommitted: dict[int, str] = {}
        self.flying: dict[str, int] = {}
        self.not_before: dict[str, float] = {}
        self.firm: set[str] = set()
        self.attempts: dict[int, int] = {}
        self.partials: dict[str, list[tuple[float, int]]] = {}

    @rule(call=CALLS, committed=st.booleans())
    def publish(self, call, committed):
        self.number += 1
        self.queue.add(call, self.number, committed=committed)
        self.expected.setdefault(call, []).append(self.number)
        self.partials.pop(call, None)
        if not committed:
            self.uncommitted[self.number] = call

    @rule(call=CALLS, leg=st.sampled_from(["caller", "agent"]), ttl=st.floats(0.5, 3))
    def show_partial(self, call, leg, ttl):
        self.number += 1
        self.queue.offer(call, leg, (leg, self.number), self.now + ttl)
        waiting = [item for item in self.partials.get(call, []) if item[2] != leg]
        self.partials[call] = [*waiting, (self.now + ttl, self.number, leg)]

    @precondition(lambda self: self.uncommitted)
    @rule(data=st.data())
    def commit(self, data):
        number = data.draw(st.sampled_from(sorted(self.uncommitted)))
        self.queue.commit(self.uncommitted.pop(number), number)

    @precondition(lambda self: self.uncommitted)
    @rule(data=st.data())
    def withdraw(self, data):
        number = data.draw(st.sampled_from(sorted(self.uncommitted)))
        call = self.uncommitted.pop(number)
        self.queue.withdraw(call, number)
        self.expected[call].remove(number)

    @rule()
    def send(self):
        work = self.queue.next(self.now)
        if work is None:
            if len(self.flying) < 2:
                # nothing that could go was held back
                for call, numbers in self.expected.items():
                    if numbers and call not in self.flying and numbers[0] not in self.uncommitted:
                        assert self.not_before.get(call, 0) > self.now
                for call, items in self.partials.items():
                    if call not in self.flying and not self.expected.get(call):
                        assert all(expires <= self.now for expires, _, _ in items)
            return
        assert len(self.flying) < 2
        assert work.call not in self.flying
        if work.partial is None:
            assert work.number == self.expected[work.call][0]
            assert work.number not in self.uncommitted
            assert self.not_before.get(work.call, 0) <= self.now
            assert work.attempts == self.attempts.get(work.number, 0)
        else:
            assert not self.expected.get(work.call)
            leg, number = work.partial
            expires = [item[0] for item in self.partials[work.call] if item[1] == number]
            assert expires and expires[0] > self.now  # noqa: PT018 (one thought)
            self.partials[work.call] = [item for item in self.partials[work.call] if item[2] != leg]
        self.flying[work.call] = work.number

    @rule()
    def send_before_its_time(self):
        self.send()
        self.send()
        work = self.queue.early(self.now)
        parked = [call for call in self.not_before if self.expected.get(call) and call not in self.flying]
        if work is None:
            assert len(self.flying) == 2 or all(self.expected[call][0] in self.uncommitted for call in parked)
            if len(self.flying) < 2:
                for call in parked:  # they wait for nothing but the disk from now on
                    self.not_before.pop(call)
            return
        assert work.number == self.expected[work.call][0]
        assert work.call not in self.flying
        for call in parked:
            if self.expected[call][0] in self.uncommitted and self.not_before[call] <= self.not_before[work.call]:
                self.not_before.pop(call)
        self.not_before.pop(work.call)
        self.flying[work.call] = work.number

    @rule()
    def release(self):
        self.queue.release()
        self.not_before = {call: due for call, due in self.not_before.items() if call in self.firm}

    @rule(data=st.data())
    def expire(self, data):
        before = data.draw(st.integers(0, self.number))
        gone = set(self.queue.expire(before))
        for call, numbers in self.expected.items():
            flying = [self.flying[call]] if self.flying.get(call) else []
            waiting = numbers[len(flying) :]
            old = list(itertools.takewhile(lambda one: one < before and one not in self.uncommitted, waiting))
            assert gone & set(numbers) == set(old)
            self.expected[call] = flying + waiting[len(old) :]
            if not self.expected[call]:
                self.not_before.pop(call, None)

    @precondition(lambda self: self.flying)
    @rule(data=st.data(), wait=st.none() | st.floats(0, 5), firm=st.booleans())
    def answer(self, data, wait, firm):
        call = data.draw(st.sampled_from(sorted(self.flying)))
        number = self.flying.pop(call)
        if number and wait is not None:
            self.queue.retry(call, self.now + wait, firm=firm)
            (self.firm.add if firm else self.firm.discard)(call)
            self.attempts[number] = self.attempts.get(number, 0) + 1
            self.not_before[call] = self.now + wait
        else:
            self.queue.delivered(call)
            if number:
                assert self.expected[call].pop(0) == number

    @rule(seconds=st.floats(0, 3))
    def time_passes(self, seconds):
        self.now += seconds

    @invariant()
    def counts_agree(self):
        assert self.queue.waiting == sum(map(len, self.expected.values()))
        assert self.queue.in_flight == len(self.flying)

    def teardown(self):
        for number, call in list(self.uncommitted.items()):
            self.queue.commit(call, number)
        self.uncommitted.clear()
        self.now += 10
        for _ in range(10_000):
            for call, number in list(self.flying.items()):
                self.queue.delivered(call)
                del self.flying[call]
                if number:
                    assert self.expected[call].pop(0) == number
            self.send()
            if not self.flying:
                break
        assert not any(self.expected.values())


TestEndpoint = Endpoint.TestCase
TestEndpoint.settings = settings(max_examples=150, stateful_step_count=60, deadline=None)
