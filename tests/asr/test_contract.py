"""The real services keep to what the adapters were written for. Skipped where the environment names no account.

| service | what makes its tests run |
| --- | --- |
| Palatine | ``ASR_GATEWAY_TEST_PALATINE_TOKEN``; another server with ``…_PALATINE_URL`` |
| Yandex, API v3 and v2 | ``ASR_GATEWAY_TEST_YANDEX_API_KEY``, or ``…_YANDEX_SERVICE_ACCOUNT_KEY_FILE`` |
| Deepgram | ``ASR_GATEWAY_TEST_DEEPGRAM_API_KEY`` |
| vosk-server | ``ASR_GATEWAY_TEST_VOSK_URL`` |

They say recorded prompts, Russian ones unless ``ASR_GATEWAY_TEST_LANGUAGE`` is ``en``, at the pace of speech: about 12
seconds of audio a service, which is what they cost. The prompts are those of the Debian packages
asterisk-core-sounds-ru and asterisk-core-sounds-ru-wav, or their English siblings.
"""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from gateway.asr.deepgram import DeepgramEngine
from gateway.asr.engine import End, Engine, Failure
from gateway.asr.gate import Gate
from gateway.asr.kinds import Context
from gateway.asr.options import Deepgram, Palatine, Vosk, Yandex
from gateway.asr.palatine import PalatineEngine
from gateway.asr.vosk import VoskEngine
from gateway.asr.yandex import YandexEngine
from gateway.media import g711
from tests.asr.drive import Driven
from tests.peers import prompts
from tests.peers.speech import encode
from tests.peers.words import wer

LANGUAGE = os.environ.get("ASR_GATEWAY_TEST_LANGUAGE", "ru")
REGION = {"ru": "ru-RU", "en": "en-US"}[LANGUAGE]
SERVICES = {
    "palatine": "PALATINE_TOKEN",
    "yandex-v3": "YANDEX_API_KEY or YANDEX_SERVICE_ACCOUNT_KEY_FILE",
    "yandex-v2": "YANDEX_API_KEY or YANDEX_SERVICE_ACCOUNT_KEY_FILE",
    "deepgram": "DEEPGRAM_API_KEY",
    "vosk": "VOSK_URL",
}


def setting(name: str) -> str:
    return os.environ.get(f"ASR_GATEWAY_TEST_{name}", "")


def engine(service: str, *, wrong: bool = False, **options: object) -> Engine:
    """Returns the real service's engine; ``wrong`` for one with credentials that nobody has."""
    context = Context(service, 10.0, Gate())
    if service == "palatine":
        where = {"url": setting("PALATINE_URL")} if setting("PALATINE_URL") else {}
        token = "nobody" if wrong else setting("PALATINE_TOKEN")
        settings = Palatine.model_validate({**where, "token": token, "language": LANGUAGE, **options})
        return PalatineEngine(settings, connect_seconds=10)
    if service == "deepgram":
        key = "nobody" if wrong else setting("DEEPGRAM_API_KEY")
        return DeepgramEngine(Deepgram.model_validate({"api_key": key, "language": LANGUAGE, **options}), context)
    if service == "vosk":
        return VoskEngine(Vosk(url=setting("VOSK_URL")), context)
    fields: dict[str, object] = {"api": service.removeprefix("yandex-"), "languages": [REGION], **options}
    if wrong or setting("YANDEX_API_KEY"):
        fields["api_key"] = "nobody" if wrong else setting("YANDEX_API_KEY")
    else:
        fields["service_account_key"] = Path(setting("YANDEX_SERVICE_ACCOUNT_KEY_FILE")).read_text(encoding="utf-8")
    return YandexEngine(Yandex.model_validate(fields), context)


def need(service: str) -> None:
    if not any(setting(name) for name in SERVICES[service].split(" or ")):
        pytest.skip(f"ASR_GATEWAY_TEST_{SERVICES[service]} is not set")


def spoken() -> tuple[bytes, str]:
    """Returns two prompts with a pause between them, in A-law, and their texts."""
    chosen = [prompt for prompt in prompts.load(LANGUAGE) if 6 <= len(prompt.text.split()) <= 12][:2]
    pause = g711.SILENCE["alaw"] * 12000
    return pause.join([b"", *(encode(prompt.pcm(), "alaw") for prompt in chosen), b""]), " ".join(
        prompt.text for prompt in chosen
    )


@pytest.mark.parametrize("service", SERVICES)
async def test_the_service_recognises_what_is_said_and_accounts_for_it(service: str) -> None:
    need(service)
    audio, text = spoken()
    driven = Driven(engine(service))
    await driven.ready()
    assert driven.is_ready, driven.events
    await driven.send(audio, pace=0.2)
    driven.session.finish()
    end = await driven.end()
    assert isinstance(end, End), end
    assert end.seconds == pytest.approx(len(audio) / 8000, abs=0.3)
    said = " ".join(final.text for final in driven.finals) if driven.finals else driven.partials[-1].text
    assert wer(text, said) < 0.5, said
    assert all(0 <= final.start <= final.end <= len(audio) for final in driven.finals)
    assert driven.partials, "words come while they are spoken"


@pytest.mark.parametrize("service", [service for service in SERVICES if service != "vosk"])
async def test_the_service_refuses_wrong_credentials_in_a_way_that_is_not_tried_again(service: str) -> None:
    need(service)
    failure = await Driven(engine(service, wrong=True)).end()
    assert isinstance(failure, Failure)
    assert failure.code in ("AUTH_ERROR", "UNAUTHENTICATED", "PERMISSION_DENIED")
    assert not failure.retryable


async def test_yandex_keeps_a_session_over_a_hold_of_silence_chunks() -> None:
    need("yandex-v3")
    audio, _ = spoken()
    driven = Driven(engine("yandex-v3"))
    await driven.ready()
    await driven.send(audio, pace=0.2)
    for _ in range(4):
        driven.session.silence(32000)
        await asyncio.sleep(4)
    await driven.send(audio, pace=0.2)
    driven.session.finish()
    end = await driven.end()
    assert isinstance(end, End), end
    assert end.seconds == pytest.approx(2 * len(audio) / 8000 + 16, abs=0.3), "announced silence is counted"
    behind = [final for final in driven.finals if final.start >= len(audio) + 4 * 32000]
    assert behind, "times go on behind the hold"
