from __future__ import annotations

import pytest

from gateway.sip.dialog import Dialog
from gateway.sip.events import Ended, Established
from gateway.sip.sdp import NoCommonCodecError, SdpError

OFFER = "v=0\r\nc=IN IP4 192.0.2.1\r\nm=audio 4000 RTP/AVP 8\r\n"


def dialog() -> Dialog:
    made = Dialog(5)
    made.accept("192.0.2.9", [20000])
    return made


def test_each_sdp_has_the_next_version_of_one_session() -> None:
    talk = dialog()
    origins = [text.split("\r\n")[1] for text in (talk.answer_to(OFFER), talk.offer(), talk.answer_to(OFFER))]
    assert origins == [f"o=asr-gateway 5 {version} IN IP4 192.0.2.9" for version in (1, 2, 3)]


def test_an_offer_is_only_checked_when_checked() -> None:
    talk = dialog()
    talk.answer_to(OFFER)
    before = talk.media()
    with pytest.raises(NoCommonCodecError):
        talk.check(OFFER.replace("AVP 8", "AVP 18"))
    talk.check(OFFER.replace("4000", "5000"))
    assert talk.media() == before
    assert talk.answer_to(OFFER).split("\r\n")[1].split()[2] == "2"


def test_audio_taken_out_is_hold_without_a_port() -> None:
    talk = dialog()
    talk.answer_to(OFFER.replace("4000", "0"))
    (gone,) = talk.media().streams
    assert (gone.port, gone.remote_port, gone.held, gone.codecs) == (20000, 0, True, {})


LABELLED = "v=0\r\nc=IN IP4 192.0.2.1\r\n" + "".join(
    f"m=audio {port} RTP/AVP 8\r\na=label:{label}\r\na=sendonly\r\n" for port, label in ((4000, "96"), (4010, "97"))
)
THIRD = "m=audio 4020 RTP/AVP 0\r\na=label:98\r\na=sendonly\r\n"


def recording() -> Dialog:
    made = Dialog(5, recording=True)
    made.accept("192.0.2.9", [20000, 20002, 20004])
    return made


def ports_and_labels(talk: Dialog) -> list[tuple[int, str, bool]]:
    return [(stream.port, stream.label, stream.held) for stream in talk.media().streams]


def test_each_stream_of_a_recording_has_a_port() -> None:
    talk = recording()
    answer = talk.answer_to(LABELLED)
    assert [line for line in answer.split("\r\n") if line.startswith(("m=", "a=label"))] == [
        *("m=audio 20000 RTP/AVP 8", "a=label:96", "m=audio 20002 RTP/AVP 8", "a=label:97"),
    ]
    assert ports_and_labels(talk) == [(20000, "96", False), (20002, "97", False)]


def test_of_another_offer_the_first_stream_alone_is_taken() -> None:
    talk = dialog()
    assert "m=audio 0 RTP/AVP 8" in talk.answer_to(LABELLED)
    assert ports_and_labels(talk) == [(20000, "96", False)]


def test_streams_come_go_and_pause_while_the_others_keep_their_ports() -> None:
    talk = recording()
    talk.answer_to(LABELLED)
    talk.answer_to(LABELLED + THIRD)
    assert ports_and_labels(talk) == [(20000, "96", False), (20002, "97", False), (20004, "98", False)]
    talk.answer_to(
        LABELLED.replace("4000", "0").replace("a=label:97\r\na=sendonly", "a=label:97\r\na=inactive") + THIRD
    )
    assert ports_and_labels(talk) == [(20002, "97", True), (20004, "98", False)]
    # the line is used again: nothing to spare, then a new port
    assert talk.answer_to(LABELLED + THIRD).count("m=audio 0 ") == 1
    talk.spare([20006])
    talk.answer_to(LABELLED + THIRD)
    assert ports_and_labels(talk)[0] == (20006, "96", False)


def test_a_re_invite_without_an_offer_gets_all_streams_again() -> None:
    talk = recording()
    first = talk.answer_to(LABELLED)
    again = talk.offer()
    assert again == first.replace("o=asr-gateway 5 1 ", "o=asr-gateway 5 2 ")


def test_sendonly_is_hold_where_the_peer_has_listened_before() -> None:
    talk = dialog()
    for direction, held in (("sendonly", False), ("sendrecv", False), ("sendonly", True), ("sendrecv", False)):
        talk.answer_to(f"{OFFER}a={direction}\r\n")
        assert talk.media().streams[0].held is held, direction


def test_there_is_no_media_before_an_answer() -> None:
    talk = dialog()
    with pytest.raises(SdpError):
        talk.media()
    talk.offer()
    assert talk.offered


@pytest.mark.parametrize(
    ("asked", "established", "bye", "code", "reason"),
    [
        ("", True, True, 200, "bye"),
        ("", False, False, 487, "cancel"),
        ("", True, False, 487, "failed"),
        ("", True, False, 408, "failed"),
        ("", False, False, 488, "failed"),
        ("refused", False, False, 403, "refused"),
        ("hangup", True, False, 200, "hangup"),
        ("hangup", True, True, 200, "hangup"),
        ("refused", False, False, 487, "refused"),
    ],
)
def test_how_it_ended_is_told_once(asked: str, established: bool, bye: bool, code: int, reason: str) -> None:
    talk = dialog()
    if established:
        assert talk.confirmed() == Established(5)
        assert talk.confirmed() is None
    if asked:
        assert talk.ask(asked)
        assert not talk.ask("hangup")
    assert talk.ended(code, "words", bye=bye) == Ended(5, reason, code, "words")
    assert talk.ended(code, "words", bye=bye) is None
    assert not talk.ask("hangup")
    assert talk.confirmed() is None
