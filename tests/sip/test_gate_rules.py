"""The rules of the gate: who is let in, by source, first line, Call-ID and User-Agent; time is the test's."""

from __future__ import annotations

from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.peers.gate import ADMIT, ANSWER, DROP, TCP, TLS, UDP, UNPROVEN, Gate, message

PEER, STRANGER, OTHER = "192.0.2.7", "203.0.113.9", "203.0.113.10"
OK = "SIP/2.0 200 OK"


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("gate")


@pytest.fixture
def gate(folder: Path) -> Gate:
    made = Gate(folder)
    made.c.gate_add_network(b"192.0.2.0", 24)
    made.c.gate_add_network(b"2001:db8:1::", 48)
    made.c.gate_add_scanner(b"friendly-scanner")
    made.c.gate_set_rates(10, 50, 1000, 100)
    made.c.gate_set_logins(3, 60)
    return made


@pytest.mark.parametrize(
    ("source", "verdict"),
    [
        ("192.0.2.0", ADMIT),
        ("192.0.2.255", ADMIT),
        ("::ffff:192.0.2.9", ADMIT),
        ("2001:db8:1:ffff::1", ADMIT),
        ("192.0.3.0", DROP),
        ("192.0.1.255", DROP),
        ("2001:db8:2::1", DROP),
        ("::192.0.2.9", DROP),
    ],
)
@pytest.mark.parametrize("method", ["INVITE", "OPTIONS", "REGISTER", "FOO"])
def test_peers_are_let_in_and_strangers_are_not(gate: Gate, source: str, verdict: int, method: str) -> None:
    assert gate.judge(source, message(method)) == verdict
    assert gate.connects(source) is (verdict == ADMIT)


@given(
    network=st.ip_addresses(v=4).flatmap(lambda a: st.tuples(st.just(a), st.integers(0, 32)))
    | st.ip_addresses(v=6).flatmap(lambda a: st.tuples(st.just(a), st.integers(0, 128))),
    flipped=st.integers(0, 127),
)
def test_networks_hold_what_they_hold_elsewhere(folder: Path, network: tuple[object, int], flipped: int) -> None:
    gate = Gate(folder)
    address, bits = network
    held = ip_network(f"{address}/{bits}", strict=False)
    assert gate.c.gate_add_network(str(held.network_address).encode(), bits)
    source = ip_address(int(held.network_address) ^ (1 << flipped % held.max_prefixlen))
    source = type(held.network_address)(int(source))
    if held.version == 6 and source.ipv4_mapped:  # type: ignore[union-attr]
        return
    assert (gate.judge(str(source), message()) == ADMIT) is (source in held)


@pytest.mark.parametrize(("address", "bits"), [(b"pbx", 24), (b"192.0.2.1", 33), (b"::1", 129), (b"::1", -1), (b"", 0)])
def test_what_is_no_network_is_not_taken(gate: Gate, address: bytes, bits: int) -> None:
    assert gate.c.gate_add_network(address, bits) == 0


def test_strangers_get_one_flat_answer_where_that_is_wanted(gate: Gate) -> None:
    gate.c.gate_set_strangers(1, 0, 0)
    for method in ("INVITE", "OPTIONS", "REGISTER", "SUBSCRIBE"):
        assert gate.judge(STRANGER, message(method)) == ANSWER
        assert gate.judge(STRANGER, message(method), TCP) == DROP
    assert gate.judge(STRANGER, message(line=OK)) == DROP
    assert gate.judge(STRANGER, b"hello\r\n\r\n") == DROP


def test_where_peers_may_call_from_anywhere_only_their_calls_come_through(gate: Gate) -> None:
    gate.c.gate_set_strangers(0, 0, 1)
    assert not gate.judge(STRANGER, message())
    assert gate.judge(STRANGER, message(), TLS) == UNPROVEN
    assert gate.judge(STRANGER, message("OPTIONS"), TLS) == DROP
    assert gate.connects(STRANGER)
    gate.c.gate_set_strangers(0, 1, 1)
    assert gate.judge(STRANGER, message(), UDP) == UNPROVEN
    assert gate.judge(STRANGER, message("REGISTER")) == DROP
    gate.c.gate_proved(f"{STRANGER}:5060".encode())
    assert gate.judge(STRANGER, message("OPTIONS")) == ADMIT
    assert gate.judge(OTHER, message("OPTIONS")) == DROP
    gate.now += 3_700_000
    assert gate.judge(STRANGER, message("OPTIONS")) == DROP


def test_what_belongs_to_a_dialog_comes_through_from_anywhere(gate: Gate) -> None:
    assert gate.judge(STRANGER, message("BYE", "k@pbx")) == DROP
    gate.c.gate_pin(b"k@pbx")
    for data in (message("BYE", "k@pbx"), message("ACK", "k@pbx"), message(line=OK, call_id="k@pbx")):
        assert gate.judge(STRANGER, data) == ADMIT
        assert gate.judge(STRANGER, data.replace(b"Call-ID: ", b"i :  ")) == ADMIT
    assert gate.judge(STRANGER, message("BYE", "K@pbx")) == DROP
    gate.c.gate_unpin(b"k@pbx")
    assert gate.judge(STRANGER, message("BYE", "k@pbx")) == UNPROVEN, "a BYE sent again gets no answer"
    assert gate.judge(STRANGER, message("INVITE", "k@pbx")) == DROP
    gate.now = gate.c.gate_now() + 65_000
    assert gate.judge(STRANGER, message("BYE", "k@pbx")) == DROP


def test_two_dialogs_with_one_call_id_hold_it_until_both_are_over(gate: Gate) -> None:
    gate.c.gate_pin(b"k@pbx")
    gate.c.gate_pin(b"k@pbx")
    gate.c.gate_unpin(b"k@pbx")
    assert gate.c.gate_holds(b"k@pbx", 5)
    gate.c.gate_unpin(b"k@pbx")
    gate.c.gate_unpin(b"k@pbx")
    assert not gate.c.gate_holds(b"k@pbx", 5)


def test_answers_to_what_we_sent_come_through(gate: Gate) -> None:
    assert gate.judge(STRANGER, message(line=OK)) == DROP
    gate.note(STRANGER, b"a@b")
    assert gate.judge(STRANGER, message(line=OK)) == UNPROVEN
    assert gate.judge(STRANGER, message("ACK")) == UNPROVEN
    assert gate.judge(STRANGER, message("OPTIONS")) == DROP
    gate.now += 65_000
    assert gate.judge(STRANGER, message(line=OK)) == DROP


def test_thousands_of_dialogs_are_held_at_once(gate: Gate) -> None:
    names = [f"{number}@pbx".encode() for number in range(2048)]
    for name in names:
        gate.c.gate_pin(name)
    for number in range(20_000):
        gate.note(STRANGER, b"%d@elsewhere" % number)
    assert all(gate.c.gate_holds(name, len(name)) for name in names)


@pytest.mark.parametrize("agent", ["friendly-scanner", "Friendly-Scanner/1.0", "  friendly-scanner"])
def test_scanners_are_dropped_wherever_they_come_from(gate: Gate, agent: str) -> None:
    assert gate.judge(PEER, message(agent=agent)) == DROP
    assert gate.judge(PEER, message(agent="FPBX-16")) == ADMIT
    assert gate.counts == {"scanner": 1}
    gate.c.gate_pin(b"a@b")
    assert gate.judge(PEER, message(agent=agent)) == ADMIT


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\0" * 100,
        b"INVITE\r\n\r\n",
        b"INVITE sip:a SIP/3.0\r\nCall-ID: a@b\r\n\r\n",
        b"INVITE sip:a SIP/2.0\r\n\r\nCall-ID: a@b\r\n",
        b"INVITE sip:a SIP/2.0\r\nCall-ID:\r\n\r\n",
        b" INVITE sip:a SIP/2.0",
        b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    ],
)
def test_what_is_not_sip_is_dropped_unless_a_peer_sends_it(gate: Gate, data: bytes) -> None:
    gate.c.gate_set_strangers(1, 1, 1)
    assert gate.judge(STRANGER, data) == DROP
    assert gate.counts == {"malformed": 1}
    assert gate.judge(PEER, data) == ADMIT


@given(st.binary(max_size=300) | st.text("INVITE sip:SIP/2.0 \r\n\tCall-ID: i:\0@").map(str.encode))
def test_no_bytes_do_harm(folder: Path, data: bytes) -> None:
    gate = Gate(folder)
    assert gate.judge(STRANGER, data) in (DROP, UNPROVEN)


def test_a_source_may_send_so_much_and_no_more(gate: Gate) -> None:
    gate.c.gate_set_strangers(1, 0, 0)
    assert [gate.judge(STRANGER, message("OPTIONS")) for _ in range(25)] == [ANSWER] * 20 + [DROP] * 5
    assert gate.judge(OTHER, message("OPTIONS")) == ANSWER, "another source pays for it"
    gate.now += 300
    assert [gate.judge(STRANGER, message("OPTIONS")) for _ in range(4)] == [ANSWER] * 3 + [DROP]
    gate.now += 3_600_000
    assert [gate.judge(STRANGER, message("OPTIONS")) for _ in range(21)] == [ANSWER] * 20 + [DROP]


def test_who_sends_little_for_long_may_not_send_more_at_once(gate: Gate) -> None:
    gate.c.gate_set_strangers(1, 0, 0)
    for _ in range(60):
        gate.now += 1000
        assert gate.judge(STRANGER, message("OPTIONS")) == ANSWER
    assert [gate.judge(STRANGER, message("OPTIONS")) for _ in range(30)].count(ANSWER) <= 20


@given(st.lists(st.integers(0, 500), min_size=1, max_size=200))
def test_no_schedule_gets_more_than_the_rate(folder: Path, waits: list[int]) -> None:
    gate = Gate(folder)
    gate.c.gate_set_strangers(1, 0, 0)
    gate.c.gate_set_rates(10, 1000, 1000, 1000)
    began, taken = gate.now, 0
    for wait in waits:
        gate.now += wait
        taken += gate.judge(STRANGER, message("OPTIONS")) == ANSWER
        assert taken <= 20 + (gate.now - began) * 10 / 1000
    if sum(waits) <= 1000:
        assert taken == min(len(waits), taken)
        assert taken >= min(len(waits), 20)


def test_all_that_are_not_known_share_a_limit_and_peers_do_not_suffer(gate: Gate) -> None:
    gate.c.gate_set_strangers(1, 0, 0)
    verdicts = [gate.judge(f"203.0.{n // 250}.{n % 250}", message("OPTIONS")) for n in range(1000)]
    assert verdicts.count(ANSWER) == 100
    assert [gate.judge(PEER, message()) for _ in range(2000)] == [ADMIT] * 2000
    assert gate.judge(PEER, message()) == DROP, "a peer's own limit"
    assert gate.counts == {"stranger": 100, "flood": 901}


def test_one_ipv6_site_is_one_source(gate: Gate) -> None:
    gate.c.gate_set_strangers(1, 0, 0)
    verdicts = [gate.judge(f"2001:db8:9:1::{n:x}", message("OPTIONS")) for n in range(1, 31)]
    assert verdicts.count(ANSWER) == 20
    assert gate.judge("2001:db8:9:2::1", message("OPTIONS")) == ANSWER


def test_wrong_credentials_block_a_source_for_a_while(gate: Gate) -> None:
    gate.c.gate_set_strangers(0, 1, 1)
    for _ in range(2):
        gate.c.gate_failed(f"{STRANGER}:4000".encode())
        assert gate.judge(STRANGER, message()) == UNPROVEN
    gate.c.gate_failed(f"{STRANGER}:5000".encode())
    gate.now = gate.c.gate_now()
    assert gate.judge(STRANGER, message()) == DROP
    assert not gate.connects(STRANGER)
    assert gate.judge(OTHER, message()) == UNPROVEN
    gate.c.gate_pin(b"k@pbx")
    assert gate.judge(STRANGER, message("BYE", "k@pbx")) == ADMIT, "a call that is up suffers"
    gate.now += 61_000
    assert gate.judge(STRANGER, message()) == UNPROVEN


def test_right_credentials_make_wrong_ones_forgotten(gate: Gate) -> None:
    gate.c.gate_set_strangers(0, 1, 1)
    for _ in range(10):
        gate.c.gate_failed(f"{STRANGER}:4000".encode())
        gate.c.gate_proved(f"{STRANGER}:4000".encode())
    assert gate.judge(STRANGER, message()) == ADMIT


def test_a_flood_of_made_up_addresses_pushes_out_nobody_who_proved_itself(gate: Gate) -> None:
    proved = [f"100.64.{number // 250}.{number % 250}" for number in range(1000)]
    for number in range(120_000):
        if number == 60_000:
            for address in proved:
                gate.c.gate_proved(f"{address}:5060".encode())
        gate.now += number % 100 == 0
        gate.judge(f"198.{18 + number // 62500}.{number // 250 % 250}.{number % 250}", message())
    assert {gate.judge(address, message("OPTIONS")) for address in proved} == {ADMIT}


def test_reports_tell_a_source_at_once_and_then_now_and_then(gate: Gate) -> None:
    hostile = 'evil peer=192.0.2.1:5060 "x"\udcff'
    for _ in range(7):
        gate.judge(STRANGER, message("OPTIONS", agent=hostile))
    gate.judge("2001:db8:9::1", message("OPTIONS"))
    assert gate.reports == [
        "stranger 1 203.0.113.9:5060 evil_peer_192.0.2.1_5060__x__",
        "stranger 1 [2001:db8:9::1]:5060 ",
    ]
    gate.now += 10_001
    gate.judge(STRANGER, message("OPTIONS"))
    assert gate.reports == ["stranger 7 203.0.113.9:5060 "]
    assert gate.reports == []


def test_reports_that_nobody_takes_are_bounded(gate: Gate) -> None:
    for number in range(500):
        gate.judge(f"203.0.{number // 250}.{number % 250}", message())
    assert len(gate.reports) == 64


def test_new_calls_are_shed_by_reason(gate: Gate) -> None:
    assert [gate.sheds() for _ in range(201)] == [False] * 200 + [True]
    gate.now += 5000
    assert not gate.sheds()
    assert gate.sheds(waiting=True)
    gate.c.gate_set_load(0, 1, 9)
    assert gate.sheds()
    gate.c.gate_set_load(1, 1, 9)
    assert gate.sheds()
    assert (gate.c.gate_is_draining(), gate.c.gate_retry_after()) == (1, 9)
    assert gate.counts == {"draining": 1, "full": 1, "rate": 1, "busy": 1}
