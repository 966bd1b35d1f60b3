from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.sip import sdes
from gateway.sip.sdp import Answer, NoCommonCodecError, SdpError, Terms, answer, make_offer, parse

HEAD = "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n"


def answered(media: str, head: str = HEAD, address: str = "192.0.2.9", ports: tuple[int, ...] = (20000,)) -> Answer:
    return answer(head + media, address=address, ports=ports, session=7, version=3)


def test_the_whole_answer() -> None:
    ours = answered(
        "m=audio 4000 RTP/AVP 0 8 18 13 101\r\na=rtpmap:101 telephone-event/8000\r\na=ptime:30\r\na=label:2\r\n"
    )
    assert ours.text.split("\r\n") == [
        "v=0",
        "o=asr-gateway 7 3 IN IP4 192.0.2.9",
        "s=-",
        "c=IN IP4 192.0.2.9",
        "t=0 0",
        "m=audio 20000 RTP/AVP 0 101 13",
        "a=rtpmap:0 PCMU/8000",
        "a=rtpmap:101 telephone-event/8000",
        "a=fmtp:101 0-16",
        "a=rtpmap:13 CN/8000",
        "a=ptime:30",
        "a=label:2",
        "a=recvonly",
        "",
    ]
    (stream,) = ours.streams
    assert list(stream.codecs.items()) == [(0, "mulaw"), (8, "alaw")]
    assert (stream.telephone_event, stream.comfort_noise, stream.label) == (101, 13, "2")
    assert (stream.remote_address, stream.remote_port, stream.held) == ("192.0.2.1", 4000, False)


@pytest.mark.parametrize(
    ("attributes", "ours", "held"),
    [
        ("", "recvonly", False),
        ("a=sendrecv\r\n", "recvonly", False),
        ("a=sendonly\r\n", "recvonly", False),
        ("a=recvonly\r\n", "inactive", True),
        ("a=inactive\r\n", "inactive", True),
        ("c=IN IP4 0.0.0.0\r\n", "recvonly", True),
    ],
)
def test_direction_and_hold(attributes: str, ours: str, held: bool) -> None:
    got = answered("m=audio 4000 RTP/AVP 8\r\n" + attributes)
    assert got.text.endswith(f"a={ours}\r\n")
    assert got.streams[0].held is held


def test_the_direction_of_the_session_holds_where_the_stream_has_none() -> None:
    head = HEAD + "a=inactive\r\n"
    assert answered("m=audio 4000 RTP/AVP 8\r\n", head).streams[0].held
    assert not answered("m=audio 4000 RTP/AVP 8\r\na=sendonly\r\n", head).streams[0].held


@pytest.mark.parametrize(
    ("attributes", "port", "mux"),
    [
        ("", 0, False),
        ("a=rtcp-mux\r\n", 0, True),
        ("a=rtcp:5004\r\n", 5004, False),
        ("a=rtcp:5004 IN IP4 192.0.2.1\r\na=rtcp-mux\r\n", 5004, True),
        ("a=rtcp:5004 IN IP4 192.0.2.66\r\n", 0, False),  # elsewhere than the RTP: not ours to send to
        ("a=rtcp:5004 IN\r\n", 0, False),
        ("a=rtcp:70000\r\n", 0, False),
        ("a=rtcp:\r\n", 0, False),
    ],
)
def test_where_rtcp_goes(attributes: str, port: int, mux: bool) -> None:
    got = answered("m=audio 4000 RTP/AVP 8\r\n" + attributes)
    assert (got.streams[0].rtcp_port, got.streams[0].rtcp_mux) == (port, mux)
    assert ("a=rtcp-mux\r\n" in got.text) is mux
    assert "a=rtcp:" not in got.text, "ours is the port above"


def test_each_stream_says_for_itself_where_rtcp_goes() -> None:
    media = "m=audio 4000 RTP/AVP 8\r\na=rtcp-mux\r\nm=audio 4010 RTP/AVP 8\r\na=rtcp:4100\r\n"
    one, two = answered(media, ports=(20000, 20002)).streams
    assert (one.rtcp_mux, one.rtcp_port, two.rtcp_mux, two.rtcp_port) == (True, 0, False, 4100)


@pytest.mark.parametrize(
    ("attributes", "ptime"),
    [
        ("", 20),
        ("a=ptime:10\r\n", 10),
        ("a=ptime:60\r\n", 60),
        ("a=ptime:200\r\n", 20),
        ("a=ptime:x\r\n", 20),
        ("a=ptime:60\r\na=maxptime:40\r\n", 40),
        ("a=maxptime:10\r\n", 10),
    ],
)
def test_ptime(attributes: str, ptime: int) -> None:
    assert f"a=ptime:{ptime}\r\n" in answered("m=audio 4000 RTP/AVP 8\r\n" + attributes).text


def test_other_streams_stay_in_their_places_with_port_0() -> None:
    offer = (
        "m=video 5000 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\nm=audio 4002 RTP/SAVP 8\r\n"
        "m=audio 4004 RTP/AVP 8\r\nm=audio 4006 RTP/AVP 8\r\nm=image 4008 udptl t38\r\n"
    )
    got = answered(offer)
    assert [line for line in got.text.split("\r\n") if line.startswith("m=")] == [
        "m=video 0 RTP/AVP 96",
        "m=audio 0 RTP/SAVP 8",
        "m=audio 20000 RTP/AVP 8",
        "m=audio 0 RTP/AVP 8",
        "m=image 0 udptl t38",
    ]
    assert [(stream.index, stream.remote_port) for stream in got.streams] == [(2, 4004)]
    both = answered(offer, ports=(20000, 20002))
    assert [(stream.index, stream.remote_port) for stream in both.streams] == [(2, 4004), (3, 4006)]


def test_dynamic_payload_types_and_spellings() -> None:
    got = answered("m=audio 4000 RTP/AVP 97 96\r\na=rtpmap:96 pcmu/8000/1\r\na=rtpmap:97 L16/8000\r\n")
    assert got.streams[0].codecs == {96: "mulaw"}
    assert "m=audio 20000 RTP/AVP 96\r\na=rtpmap:96 PCMU/8000\r\n" in got.text


def test_a_payload_type_mapped_to_something_else_is_no_g711() -> None:
    with pytest.raises(NoCommonCodecError):
        answered("m=audio 4000 RTP/AVP 8\r\na=rtpmap:8 PCMA/16000\r\n")


def test_ipv6() -> None:
    got = answered(
        "m=audio 4000 RTP/AVP 8\r\n", HEAD.replace("IP4 192.0.2.1", "IP6 2001:db8::1"), address="2001:db8::9"
    )
    assert "\r\nc=IN IP6 2001:db8::9\r\n" in got.text
    assert got.streams[0].remote_address == "2001:db8::1"


def test_line_ends_and_a_c_line_of_its_own() -> None:
    got = answered("m=audio 4000/2 RTP/AVP 8\nc=IN IP4 192.0.2.77/127\n", HEAD.replace("\r\n", "\n"))
    assert got.streams[0].remote_address == "192.0.2.77"


def test_a_peer_may_take_its_audio_out() -> None:
    got = answered("m=audio 0 RTP/AVP 8\r\n")
    assert got.text.endswith("m=audio 0 RTP/AVP 8\r\n")
    assert got.streams == ()


@pytest.mark.parametrize(
    "media", ["m=audio 4000 RTP/AVP 18\r\n", "m=audio 4000 RTP/SAVP 8\r\n", "m=video 4 RTP/AVP 8\r\n"]
)
def test_no_common_codec(media: str) -> None:
    with pytest.raises(NoCommonCodecError, match="has G"):
        answered(media)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "v=0"),
        ("hello", "v=0"),
        (HEAD, "no m= line"),
        (HEAD + "m=audio\r\n", "media description"),
        (HEAD + "m=audio 70000 RTP/AVP 8\r\n", "port"),
        (HEAD + "m=audio -1 RTP/AVP 8\r\n", "port"),
        (HEAD + "garbage\r\n", "line of SDP"),
        (HEAD.replace("c=IN IP4 192.0.2.1\r\n", "") + "m=audio 4 RTP/AVP 8\r\n", "numeric c="),
        (HEAD + "m=audio 4 RTP/AVP 8\r\nc=IN IP4 pbx.example.org\r\n", "numeric c="),
        (HEAD + "m=audio 4 RTP/AVP 8\r\nc=ATM x\r\n", "connection line"),
        (HEAD + "a=x\r\n" * 20000, "characters"),
    ],
)
def test_what_cannot_be_read_says_why(text: str, says: str) -> None:
    with pytest.raises(SdpError, match=says):
        answered("", text)


def test_our_offer_can_be_read() -> None:
    (stream,) = parse(make_offer(address="::1", port=20002, session=1, version=1))
    assert list(stream.codecs) == [8, 0]
    assert (stream.port, stream.direction, stream.address) == (20002, "recvonly", "::1")
    assert (stream.payload_type("TELEPHONE-EVENT/8000"), stream.payload_type("CN/8000")) == (101, 13)
    with pytest.raises(SdpError, match="numeric"):
        make_offer(address="gateway.example.org", port=2, session=1, version=1)


LINES = st.one_of(
    st.sampled_from(HEAD.split("\r\n")),
    st.sampled_from(
        ["m=audio 4000 RTP/AVP 8 0 101", "m=audio 0 RTP/AVP 8", "m=video 9 RTP/AVP 96", "m=audio 1 RTP/AVP ٣"]
    ),
    st.sampled_from(["a=rtpmap:101 telephone-event/8000", "a=ptime:20", "a=inactive", "a=label:x y", "a=label:1"]),
    st.builds("a=rtpmap:{} {}".format, st.integers(-1, 130), st.sampled_from(["PCMA/8000", "PCMU/8000/2", "", "é"])),
    st.builds(
        "m={} {} {} {}".format, st.text(max_size=6), st.integers(-2, 70000), st.text(max_size=9), st.integers(0, 99)
    ),
    st.builds("{}={}".format, st.sampled_from("abcmtv"), st.text(max_size=30)),
)


@given(
    st.one_of(
        st.text(), st.lists(LINES, max_size=20).map("\r\n".join), st.lists(LINES).map(lambda x: HEAD + "\n".join(x))
    )
)
def test_any_text_gets_an_answer_or_an_error(text: str) -> None:
    try:
        got = answered("", text)
    except SdpError:
        return
    offered, written = parse(text), parse(got.text)
    assert [stream.kind for stream in written] == [stream.kind for stream in offered]
    assert sum(stream.port > 0 for stream in written) == len(got.streams) <= 1
    assert all(stream.direction in ("recvonly", "inactive") for stream in written if stream.port)
    assert got.text.isascii()


PEER_KEYS = [sdes.new_key(), sdes.new_key()]
OUR_KEYS = [sdes.new_key(), sdes.new_key()]
PLAIN_STREAM = "m=audio 4000 RTP/AVP 8\r\n"
SECURE_STREAM = (
    "m=audio 4002 RTP/SAVP 8\r\na=crypto:7 AES_256_CM_HMAC_SHA1_80 inline:AAAA\r\n"
    f"a=crypto:3 AES_CM_128_HMAC_SHA1_32 inline:{PEER_KEYS[0]}\r\n"
    f"a=crypto:4 AES_CM_128_HMAC_SHA1_80 inline:{PEER_KEYS[1]}\r\n"
)


@pytest.mark.parametrize(
    ("srtp", "media", "ports"),
    [
        ("off", PLAIN_STREAM, [20000]),
        ("off", SECURE_STREAM + PLAIN_STREAM, [0, 20000]),
        ("optional", PLAIN_STREAM, [20000]),
        ("optional", SECURE_STREAM + PLAIN_STREAM, [20000, 0]),
        ("required", PLAIN_STREAM + SECURE_STREAM, [0, 20000]),
        ("off", SECURE_STREAM, None),
        ("required", PLAIN_STREAM, None),
        ("required", "m=audio 4002 RTP/SAVP 8\r\n", None),
    ],
)
def test_srtp_is_off_taken_or_insisted_on(srtp: str, media: str, ports: list[int] | None) -> None:
    def ask() -> Answer:
        terms = Terms(srtp)  # type: ignore[arg-type]
        return answer(
            HEAD + media, address="192.0.2.9", ports=[20000], session=7, version=3, terms=terms, keys=OUR_KEYS
        )

    if ports is None:
        with pytest.raises(NoCommonCodecError, match=r"RTP/S?AVP"):
            ask()
        return
    ours = ask()
    assert [stream.port for stream in parse(ours.text)] == ports
    (stream,) = ours.streams
    if ports.index(20000) == media.split("m=")[1:].index(SECURE_STREAM[2:]) if SECURE_STREAM in media else False:
        assert stream.srtp == {"suite": "AES_CM_128_HMAC_SHA1_32", "remote": PEER_KEYS[0], "local": OUR_KEYS[0]}
        assert f"a=crypto:3 AES_CM_128_HMAC_SHA1_32 inline:{OUR_KEYS[0]}\r\n" in ours.text
        assert ours.text.count("a=crypto") == 1
    else:
        assert stream.srtp == {}
        assert "a=crypto" not in ours.text


def test_our_offer_of_srtp_has_a_key_for_each_suite() -> None:
    text = make_offer(address="192.0.2.9", port=20000, session=7, version=1, terms=Terms("required"), keys=OUR_KEYS)
    (stream,) = parse(text)
    assert stream.profile == "RTP/SAVP"
    assert [crypto.key for crypto in stream.crypto] == OUR_KEYS
    assert [crypto.suite for crypto in stream.crypto] == list(sdes.SUITES)


@pytest.mark.parametrize(
    ("theirs", "ours", "sends"),
    [
        ("sendrecv", "sendrecv", True),
        ("sendonly", "recvonly", False),
        ("recvonly", "sendonly", True),
        ("inactive", "inactive", False),
    ],
)
def test_peers_that_want_rtp_back(theirs: str, ours: str, sends: bool) -> None:
    offer = HEAD + PLAIN_STREAM + f"a={theirs}\r\n"
    got = answer(offer, address="192.0.2.9", ports=[20000], session=7, version=3, terms=Terms(sends=True))
    assert got.text.endswith(f"a={ours}\r\n")
    assert got.streams[0].sends is sends
