from __future__ import annotations

import pytest

from gateway.sip.dialog import Dialog
from gateway.sip.messages import Ended, Established
from gateway.sip.sdp import NoCommonCodecError, SdpError

OFFER = "v=0\r\nc=IN IP4 192.0.2.1\r\nm=audio 4000 RTP/AVP 8\r\n"


def dialog() -> Dialog:
    made = Dialog(5)
    made.accept("192.0.2.9", 20000)
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
    assert (talk.media().remote_port, talk.media().held, talk.media().codecs) == (0, True, {})


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
