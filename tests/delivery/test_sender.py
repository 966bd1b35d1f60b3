"""What a webhook request carries besides its body: headers, signatures of both kinds, a certificate of its own."""

import json
import ssl

import pytest
from aiohttp import web
from pydantic import ValidationError

from gateway.delivery import signing
from gateway.delivery.outlet import Message
from gateway.delivery.sender import Sender
from gateway.delivery.settings import Endpoint
from tests.peers.certificates import Authority

SECRET = "whsec_" + "QUJD" * 8
PRIVATE = "whsk_" + "A" * 43 + "="
MESSAGE = Message("m1", "c1", "call.started", b'{"a": 1}')


class Peer:
    """Notes the requests, over TLS where it is given a context."""

    def __init__(self):
        self.requests = []

    async def start(self, context=None) -> int:
        application = web.Application()
        application.router.add_post("/", self._take)
        self.runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
        await self.runner.setup()
        await web.TCPSite(self.runner, "127.0.0.1", 0, ssl_context=context).start()
        return self.runner.addresses[0][1]

    async def _take(self, request):
        certificate = request.get_extra_info("peercert")
        self.requests.append((request.headers.copy(), await request.read(), certificate))
        return web.Response(status=204)


@pytest.fixture
async def peer():
    made = Peer()
    yield made
    await made.runner.cleanup()


async def send(endpoint: Endpoint):
    sender = Sender(endpoint)
    outcome = await sender.send(MESSAGE, 5)
    await sender.close()
    return outcome


async def test_own_headers_and_a_signature_of_each_secret(peer):
    url = f"http://127.0.0.1:{await peer.start()}/"
    own = {"Authorization": "Basic abc", "X-Tenant": "blue"}
    endpoint = Endpoint(name="a", url=url, secret=SECRET, other_secret=PRIVATE, headers=own)
    assert (await send(endpoint)).result == "delivered"
    ((headers, body, _),) = peer.requests
    assert (headers["authorization"], headers["x-tenant"], body) == ("Basic abc", "blue", MESSAGE.body)
    assert [each.partition(",")[0] for each in headers["webhook-signature"].split(" ")] == ["v1", "v1a"]
    stamp = int(headers["webhook-timestamp"])
    for secret in (SECRET, signing.public_key(PRIVATE)):
        signing.verify([signing.verifier(secret)], headers, body, stamp)


async def test_mutual_tls(peer, tmp_path):
    authority = Authority(tmp_path)
    certificate, key = authority.issue("consumer")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(authority.ca))
    context.load_cert_chain(certificate, key)
    context.verify_mode = ssl.CERT_REQUIRED
    url = f"https://127.0.0.1:{await peer.start(context)}/"
    own, own_key = authority.issue("gateway")
    known = {"tls_ca": authority.ca, "tls_certificate": own, "tls_key": own_key}
    assert (await send(Endpoint(name="a", url=url, secret=SECRET, **known))).result == "delivered"
    ((_, _, shown),) = peer.requests
    assert dict(pair for part in shown["subject"] for pair in part)["commonName"] == "gateway"
    for lacking in ({"tls_ca": authority.ca}, {}):
        assert (await send(Endpoint(name="a", url=url, secret=SECRET, **lacking))).result == "unreachable"
    assert len(peer.requests) == 1


@pytest.mark.parametrize(
    ("settings", "fault"),
    [
        ({"headers": {"Webhook-Id": "x"}}, "Webhook-Id is the gateway's own"),
        ({"headers": {"content-length": "1"}}, "content-length is the gateway's own"),
        ({"headers": {"X": "a\r\nY: b"}}, "control character"),
        ({"headers": {"a b": "x"}}, "headers"),
        ({"other_secret": "whsec_AA=="}, "other_secret: holds 1 bytes"),
        ({"tls_key": "/none"}, "tls_key is of no use"),
        ({"tls_ca": "/none"}, "tls_ca, tls_certificate or tls_key cannot be used"),
    ],
)
def test_settings_that_cannot_work_are_refused_at_start(settings, fault):
    with pytest.raises(ValidationError, match=fault):
        Endpoint(name="a", url="http://127.0.0.1/", secret=SECRET, **settings)


def test_no_secret_is_shown():
    made = Endpoint(
        name="a", url="http://127.0.0.1/", secret=SECRET, other_secret=PRIVATE, headers={"Authorization": "Basic abc"}
    )
    for shown in (json.dumps(made.model_dump(mode="json")), repr(made)):
        assert "QUJD" not in shown
        assert "whsk_" not in shown
        assert "abc" not in shown
