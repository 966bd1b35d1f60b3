"""Who calls whom, and which call a dialog belongs to."""

from dataclasses import replace

import pytest

from gateway.asr.routes import Facts
from gateway.calls.identity import Identity, facts_of, identify, leg_name, mask, user_of
from gateway.calls.settings import Calls, Role
from gateway.sip.events import Incoming
from gateway.sip.siprec import Participant, Recording


def invite(uri: str = "sip:200@gw", **headers: str) -> Incoming:
    named = {name.replace("_", "-").lower(): [value] for name, value in headers.items()}
    return Incoming(
        1, "id@host", "ft", "", uri, '"A" <sip:100@pbx;x=1>', "<sip:200@gw>", "127.0.0.1:5", "udp", named, ""
    )


@pytest.mark.parametrize(
    ("uri", "user"),
    [
        ("sip:100@pbx", "100"),
        ('"Anna" <sips:anna@host:5061;transport=tls>;tag=1', "anna"),
        ("<tel:+7-495-000;phone-context=x>", "+7-495-000"),
        ("sip:pbx.example", "pbx.example"),
        ("", ""),
    ],
)
def test_the_user_part_of_a_uri(uri: str, user: str) -> None:
    assert user_of(uri) == user


def test_a_lone_dialog_is_a_call_of_its_own() -> None:
    assert identify(invite(), Calls()) == Identity("", "caller", "100", "200", {})


def test_headers_group_dialogs_and_name_legs() -> None:
    identity = identify(
        invite(X_Call_Id="k-1", X_Call_Leg="agent", X_Queue="sales"), Calls(headers=["X-Queue", "X-No"])
    )
    assert identity == Identity("k-1", "agent", "100", "200", {"x-queue": "sales"})


def test_the_asserted_identity_goes_before_from() -> None:
    assert identify(invite(P_Asserted_Identity="<sip:4711@carrier>"), Calls()).from_number == "4711"


def test_a_pattern_on_the_uri_stands_in_for_headers() -> None:
    calls = Calls(uri_pattern=r"(?P<call>[0-9a-f]+)-(?P<leg>caller|agent)")
    identity = identify(invite("sip:beef-agent@gw"), calls)
    assert (identity.key, identity.leg) == ("beef", "agent")
    assert identify(invite("sip:200@gw"), calls).key == ""
    assert identify(invite("sip:beef-agent@gw", X_Call_Id="h"), calls).key == "h", "headers go first"


def test_what_a_peer_names_things_is_made_harmless() -> None:
    identity = identify(invite(X_Call_Id="a\r\nb" + "x" * 200, X_Call_Leg="<script>"), Calls())
    assert identity.key == "a__b" + "x" * 60
    assert identity.leg == "_script_"


def test_what_routes_look_at() -> None:
    incoming = replace(invite(X_Call_Leg="agent", X_Queue="sales"), peer="pbx")
    assert facts_of(incoming, identify(incoming, Calls())) == Facts("pbx", "200", "100", "agent", incoming.headers)


def test_who_diverted_the_call_and_what_one_user_told_the_other() -> None:
    identity = identify(
        invite(
            Diversion="<sip:4711@pbx.example>;reason=unconditional",
            User_to_User="56a390f3d2b7310023a2;encoding=hex",
            P_Asserted_Identity='"Anna" <sip:+74951234567@pbx>',
        ),
        Calls(),
    )
    assert (identity.diverted_from, identity.user_to_user) == ("4711", "56a390f3d2b7310023a2;encoding=hex")
    assert identity.from_number == "+74951234567"


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("+74951234567", "+********567"),
        ("8 (495) 123-45-67", "* (***) ***-*5-67"),
        ("sip:4951234567@192.0.2.41", "sip:*******567@192.0.2.41"),
        ("4711", "4711"),
        ("anna", "anna"),
        ("", ""),
    ],
)
def test_numbers_are_masked_but_for_their_end(text: str, masked: str) -> None:
    assert mask(text) == masked


def test_a_masked_identity_keeps_its_key() -> None:
    identity = identify(invite(X_Call_Id="1234567890", X_Caller="4951234567"), Calls(headers=["X-Caller"]))
    masked = identity.masked()
    assert (masked.key, masked.headers) == ("1234567890", {"x-caller": "*******567"})


@pytest.mark.parametrize(
    ("speaker", "label", "name"),
    [
        (Participant("sip:4711@pbx", "Boris"), "1", "agent"),
        (Participant("sip:9@pbx", "Supervisor Olga"), "1", "boss"),
        (Participant("sip:anna@pbx", "Anna"), "1", "anna"),
        (Participant("", "Anna Ivanova"), "1", "Anna_Ivanova"),
        (Participant("", ""), "1", "stream-1"),
        (None, "1", "stream-1"),
        (None, "", "stream"),
    ],
)
def test_legs_of_a_recording_are_named_by_role_participant_or_label(
    speaker: Participant | None, label: str, name: str
) -> None:
    roles = [Role(role="agent", aor=r"^sip:47\d\d@"), Role(role="boss", name="^Supervisor")]
    assert leg_name(speaker, label, Calls(roles=roles)) == name


def test_the_session_that_is_recorded_groups_where_nothing_else_does() -> None:
    recording = Recording(sessions=("hVpd7YQgRW2nD22h7q60JQ==", "second"))
    assert identify(invite(), Calls(), recording).key == "hVpd7YQgRW2nD22h7q60JQ__"
    assert identify(invite(X_Call_Id="k-1"), Calls(), recording).key == "k-1"
