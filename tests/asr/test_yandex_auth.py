"""IAM tokens of a service-account key: signed as the vendor wants, shared, and renewed before they end."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import grpc.aio
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from yandex.cloud.iam.v1.iam_token_service_pb2 import CreateIamTokenResponse
from yandex.cloud.iam.v1.iam_token_service_pb2_grpc import (
    IamTokenServiceServicer,
    add_IamTokenServiceServicer_to_server,
)

from gateway.asr.engine import End, Failure
from gateway.asr.fake.words import say
from gateway.asr.options import Yandex
from gateway.asr.yandex_auth import AUDIENCE, AuthError, Fixed, RenewedToken, ServiceAccountKey, credentials_of
from tests.asr.drive import Driven, engine_at, fake

KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
PEM = KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
JSON = json.dumps(
    {
        "id": "ajek",
        "service_account_id": "ajes",
        "private_key": f"PLEASE DO NOT REMOVE THIS LINE! Yandex.Cloud SA Key ID <ajek>\n{PEM}",
    }
)


def test_the_request_is_signed_as_the_vendor_wants() -> None:
    signed = ServiceAccountKey(JSON).jwt(1_000_000.9)
    assert jwt.get_unverified_header(signed) == {"alg": "PS256", "kid": "ajek", "typ": "JWT"}
    options = {"verify_exp": False, "verify_iat": False}
    claims = jwt.decode(signed, KEY.public_key(), algorithms=["PS256"], audience=AUDIENCE, options=options)
    assert claims == {"aud": AUDIENCE, "iss": "ajes", "iat": 1_000_000, "exp": 1_003_600}


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", json.dumps({"id": "a", "service_account_id": "b"}), JSON.replace("BEGIN PRIVATE", "BEGIN PUBLIC")],
)
def test_a_key_that_is_none_is_refused_without_showing_it(text: str) -> None:
    with pytest.raises(ValueError, match=r"yc iam key create|no RSA key") as error:
        ServiceAccountKey(text)
    assert "PRIVATE KEY" not in str(error.value)


class Exchange:
    """Gives token after token; counts, and fails when told to."""

    def __init__(self, lifetime: float = 43200.0) -> None:
        self.now = 1_000_000.0
        self.count = 0
        self.error: AuthError | None = None
        self.lifetime = lifetime
        self.token = RenewedToken(ServiceAccountKey(JSON), self, lambda: self.now)

    async def __call__(self, signed: str) -> tuple[str, float]:
        assert signed.count(".") == 2
        await asyncio.sleep(0)
        if self.error is not None:
            raise self.error
        self.count += 1
        return f"t{self.count}", self.now + self.lifetime

    async def ask(self) -> str:
        value = await self.token.authorization()
        await asyncio.sleep(0.01)  # a renewal in the background
        return value


async def test_all_who_ask_share_one_request() -> None:
    exchange = Exchange()
    assert await asyncio.gather(*(exchange.token.authorization() for _ in range(50))) == ["Bearer t1"] * 50
    assert exchange.count == 1


@pytest.mark.parametrize(("lifetime", "due"), [(43200.0, 3600.0), (1800.0, 1200.0)])
async def test_a_token_is_renewed_in_the_background_before_it_ends(lifetime: float, due: float) -> None:
    exchange = Exchange(lifetime)
    await exchange.ask()
    exchange.now += due - 1
    assert await exchange.ask() == "Bearer t1"
    assert exchange.count == 1
    exchange.now += 2
    assert await exchange.ask() == "Bearer t1", "nobody waits for the new one"
    assert exchange.count == 2
    assert await exchange.ask() == "Bearer t2"


async def test_a_renewal_that_fails_is_tried_again_while_the_old_token_serves() -> None:
    exchange = Exchange()
    await exchange.ask()
    exchange.now += 3700
    exchange.error = AuthError("away", retryable=True)
    assert [await exchange.ask() for _ in range(3)] == ["Bearer t1"] * 3
    exchange.error = None
    assert await exchange.ask() == "Bearer t1"
    assert exchange.count == 1, "not before 30 s"
    exchange.now += 31
    await exchange.ask()
    assert await exchange.ask() == "Bearer t2"


async def test_without_a_valid_token_the_error_comes_through() -> None:
    exchange = Exchange()
    exchange.error = AuthError("no", retryable=False)
    with pytest.raises(AuthError, match="no"):
        await exchange.ask()
    exchange.error = None
    assert await exchange.ask() == "Bearer t1", "the next one asks anew"
    exchange.now += 43200
    assert await exchange.ask() == "Bearer t2", "one that has ended is not sent"


async def test_a_refused_token_is_replaced_once() -> None:
    exchange = Exchange()
    await exchange.ask()
    exchange.now += 100
    assert exchange.token.refused("Bearer t1"), "revoked, perhaps: a new one may do"
    assert await exchange.ask() == "Bearer t2"
    assert exchange.token.refused("Bearer t1"), "there is a newer one already"
    assert not exchange.token.refused("Bearer t2"), "it has just been made: the account may not do this"
    assert not Fixed("Api-Key x").refused("Api-Key x")


@pytest.mark.parametrize(
    ("given", "authorization"), [({"api_key": "a"}, "Api-Key a"), ({"iam_token": "t"}, "Bearer t")]
)
async def test_fixed_credentials(given: dict[str, Any], authorization: str) -> None:
    credentials = credentials_of(Yandex.model_validate(given), Exchange())
    assert await credentials.authorization() == authorization


def test_no_or_two_credentials_are_refused() -> None:
    with pytest.raises(ValueError, match="it needs credentials"):
        credentials_of(Yandex(), Exchange())
    with pytest.raises(ValueError, match="api_key and iam_token are given"):
        Yandex.model_validate({"api_key": "a", "iam_token": "b"})


class Iam(IamTokenServiceServicer):
    """Yandex's token service: checks the signature, and refuses when told to."""

    def __init__(self) -> None:
        self.refuse: grpc.StatusCode | None = None
        self.made = 0

    async def Create(self, request: Any, context: Any) -> CreateIamTokenResponse:  # noqa: N802
        if self.refuse is not None:
            await context.abort(self.refuse, "told to")
        claims = jwt.decode(request.jwt, KEY.public_key(), algorithms=["PS256"], audience=AUDIENCE)
        assert claims["iss"] == "ajes"
        self.made += 1
        answer = CreateIamTokenResponse(iam_token="t0ken")
        answer.expires_at.FromSeconds(claims["iat"] + 43200)
        return answer


async def test_a_call_with_a_service_account_key_over_real_grpc() -> None:
    iam, server = Iam(), fake(token="t0ken")
    tokens = grpc.aio.server()
    add_IamTokenServiceServicer_to_server(iam, tokens)
    port = tokens.add_insecure_port("127.0.0.1:0")
    await tokens.start()
    url = await server.serve("yandex-v3")
    engine = engine_at("yandex-v3", url, api_key="", service_account_key=JSON, iam_endpoint=f"127.0.0.1:{port}")
    iam.refuse = grpc.StatusCode.UNAVAILABLE
    failure = await Driven(engine).end()
    assert isinstance(failure, Failure)
    assert (failure.code, failure.retryable) == ("AUTH_ERROR", True)
    iam.refuse = grpc.StatusCode.UNAUTHENTICATED
    failure = await Driven(engine).end()
    assert isinstance(failure, Failure)
    assert (failure.code, failure.retryable) == ("AUTH_ERROR", False)
    iam.refuse = None
    for _ in range(2):
        driven = Driven(engine)
        await driven.ready()
        await driven.send(say([1, 2]))
        driven.session.finish()
        assert isinstance(await driven.end(), End)
        assert driven.words == ["w1", "w2"]
    assert iam.made == 1
    await tokens.stop(None)
    await server.stop()
