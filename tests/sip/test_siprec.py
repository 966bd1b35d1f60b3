from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.sip.request import read
from gateway.sip.siprec import LONGEST, MetadataError, Participant, Recording, is_recording

DATA = Path(__file__).parent.parent / "data/siprec"
CISCO = (DATA / "cisco.xml").read_text()
TWO = (
    "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n"
    "m=audio 4000 RTP/AVP 8\r\n{}m=audio 4002 RTP/AVP 8\r\n{}"
)


def rs(inside: str, mode: str = "partial") -> str:
    return f'<recording xmlns="urn:ietf:params:xml:ns:recording:1"><datamode>{mode}</datamode>{inside}</recording>'


@pytest.mark.parametrize(
    ("sbc", "speakers"),
    [
        (
            "oracle",
            {
                "553654187": Participant("sip:74951234567@carrier.example", "74951234567"),
                "553654188": Participant("sip:4711@callcentre.example", "4711"),
            },
        ),
        (
            "cisco",
            {"1": Participant("sip:1001@192.0.2.41", "Anna Ivanova"), "2": Participant("sip:2002@192.0.2.42", "Boris")},
        ),
        (
            "opensips",
            {"0": Participant("sip:anna@pbx.example", ""), "1": Participant("sip:boris@pbx.example", "Борис Петров")},
        ),
    ],
)
def test_who_speaks_in_the_metadata_of_real_sbcs(sbc: str, speakers: dict[str, Participant]) -> None:
    recording = Recording().updated((DATA / f"{sbc}.xml").read_text())
    assert {label: recording.speaker(label) for label in speakers} == speakers
    assert recording.speaker("nobody's") is None
    assert len(recording.sessions) == 1


def test_a_partial_update_adds_and_replaces() -> None:
    before = Recording().updated(CISCO)
    third = rs(
        '<participant participant_id="c"><nameID aor="sip:3@x"/></participant>'
        '<stream stream_id="s3" session_id="x"><label>3</label></stream>'
        '<participantstreamassoc participant_id="c"><send>s3</send></participantstreamassoc>'
    )
    after = before.updated(third)
    assert after.speaker("1") == before.speaker("1")
    assert after.speaker("3") == Participant("sip:3@x", "")
    named = after.updated(rs('<participant participant_id="c"><nameID><name>Clara</name></nameID></participant>'))
    assert named.speaker("3") == Participant("sip:3@x", "Clara")
    gone = named.updated(rs('<participantstreamassoc participant_id="c"><disassociate-time/></participantstreamassoc>'))
    assert gone.speaker("3") is None
    assert gone.updated(CISCO) == before, "complete metadata says all there is"


def test_the_same_stream_changes_its_speaker() -> None:
    moved = (
        Recording()
        .updated(CISCO)
        .updated(
            rs(
                '<participantstreamassoc participant_id="dH4aKpVqEfCAB7WoxdmA1Q=="><recv>x</recv>'
                "</participantstreamassoc>"
                '<participant participant_id="n"><nameID aor="sip:9@x"><name>Nina</name></nameID></participant>'
                '<participantstreamassoc participant_id="n"><send>dH4hi5VqEfCACLWoxdnD0g==</send>'
                "</participantstreamassoc>"
            )
        )
    )
    assert moved.speaker("1") == Participant("sip:9@x", "Nina")
    assert moved.speaker("2") == Participant("sip:2002@192.0.2.42", "Boris")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "not XML"),
        ("<recording>", "not XML"),
        ("<html/>", "root"),
        ('<!DOCTYPE r [<!ENTITY a "aaaa">]><recording>&a;</recording>', "document type"),
        (rs(" " * LONGEST), "at most"),
        (rs("".join(f'<participant participant_id="{number}"/>' for number in range(300))), "more than 256"),
    ],
)
def test_what_is_no_metadata(text: str, why: str) -> None:
    with pytest.raises(MetadataError, match=why):
        Recording().updated(text)


@pytest.mark.parametrize("element", ["participant", "stream", "session", "participantstreamassoc"])
def test_updates_do_not_add_up_without_end(element: str) -> None:
    kind = "participant" if element == "participantstreamassoc" else element
    known = Recording()
    for number in range(256):
        known = known.updated(rs(f'<{element} {kind}_id="{number}"/>'))
    with pytest.raises(MetadataError, match="more than 256 participants, streams or sessions"):
        known.updated(rs(f'<{element} {kind}_id="one more"/>'))
    assert known.updated(rs(f'<{element} {kind}_id="0"/>')) == known


PIECES = st.sampled_from(
    [
        '<session session_id="s"/>', '<stream stream_id="1"><label>96</label></stream>', '<stream id="2">', "</stream>",
        '<participant participant_id="a"><nameID aor="sip:a@b"><name>Anna</name></nameID></participant>',
        '<participantstreamassoc participant_id="a"><send>1</send></participantstreamassoc>', "<!-- <!", "-->", "&lt;",
        '<participant id="b"><send>1</send>', "</participant>", "<disassociate-time/>", "<datamode>complete</datamode>",
    ]
)  # fmt: skip


@given(st.lists(PIECES | st.text(alphabet='<>/="! abrecodingstm:?-[]&;', max_size=80), max_size=6), st.booleans())
def test_any_text_is_read_or_refused(parts: list[str], inside: bool) -> None:
    text = rs("".join(parts)) if inside else "".join(parts)
    known, why = None, ""
    try:
        known = Recording().updated(text)
    except MetadataError as error:
        why = str(error)
    if known is None:
        assert why.startswith(("not XML: ", "metadata with a document type", "not recording metadata: its root is "))
        return
    assert known.updated(text) == known, "what is said twice changes nothing"
    assert known.updated(rs("")) == known, "nor does what is left out"
    assert known.participants.keys() <= {"a", "b"}
    assert known.labels.keys() <= {"1", "2"}
    assert known.speaker("96") in (None, Participant(), Participant("sip:a@b", "Anna"))


def request(body: str, *, headers: str = "", content: str = "application/sdp") -> str:
    return f"INVITE sip:r@x SIP/2.0\r\n{headers}Content-Type: {content}\r\n\r\n{body}"


@pytest.mark.parametrize(
    ("text", "recording"),
    [
        (request(TWO.format("", ""), headers="Require: timer, SipRec\r\n"), True),
        (request(TWO.format("", ""), headers="Contact: <sip:src@x>;+sip.src\r\n"), True),
        (request(CISCO, content="application/rs-metadata+xml"), True),
        (request(CISCO, content="application/rs-metadata"), True),
        (request(TWO.format("a=label:1\r\n", "a=label:2\r\n")), True),
        (request(TWO.format("a=sendonly\r\n", "a=sendonly\r\n")), True),
        (request(TWO.format("", "")), False),
        (request(TWO.format("a=label:1\r\n", "")), False),
        (request("m=nonsense"), False),
        (request(""), False),
    ],
)
def test_what_is_a_recording(text: str, recording: bool) -> None:
    assert is_recording(read(text)) is recording


def test_both_parts_of_a_body_without_a_blank_after_the_colon() -> None:
    body = (
        "--b\r\nContent-Type:application/sdp\r\n\r\n" + TWO.format("", "") + "\r\n--b\r\n"
        "Content-Type:application/rs-metadata+xml\r\nContent-Disposition:recording-session\r\n\r\n"
        + CISCO
        + "\r\n--b--"
    )
    found = read(request(body, content='multipart/mixed; boundary="b"'))
    assert found.sdp.startswith("v=0")
    assert Recording().updated(found.metadata) == Recording().updated(CISCO)
