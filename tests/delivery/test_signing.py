import base64
import json
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook

from gateway.delivery import signing

KEY = bytes(range(32))
SECRET = "whsec_" + base64.b64encode(KEY).decode()
OTHER = "whsec_" + base64.b64encode(bytes(32)).decode()
SIGNERS, VERIFIERS = [signing.signer(SECRET)], [signing.verifier(SECRET)]
SEED = bytes(range(32))
PRIVATE = "whsk_" + base64.b64encode(SEED).decode()
NOW = 1_700_000_000
JS = Path(__file__).parents[1] / "peers" / "js" / "verify.mjs"


def fits(headers: dict[str, str], body: bytes) -> bool:
    """Whether one of the signatures is of this body."""
    why = ""
    try:
        signing.verify(VERIFIERS, headers, body, NOW)
    except signing.SigningError as error:
        why = str(error)
    assert why in ("", "no signature fits")
    return not why


def test_the_specifications_own_example():
    # from the spec's reference libraries: their test vector
    key = signing.key_of("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    signature = signing.sign(key, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
    assert signature == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


@given(body=st.dictionaries(st.text(), st.text()), message_id=st.from_regex(r"[a-z0-9-]{1,40}", fullmatch=True))
def test_the_official_library_verifies_ours(body, message_id):
    raw = json.dumps(body).encode()
    now = int(datetime.now(UTC).timestamp())
    assert Webhook(SECRET).verify(raw, signing.headers(SIGNERS, message_id, now, raw)) == body


@given(text=st.text())
def test_ours_verifies_the_official_library(text):
    body = json.dumps({"text": text}, ensure_ascii=True)
    signature = Webhook(SECRET).sign("m1", datetime.fromtimestamp(NOW, UTC), body)
    headers = {"webhook-id": "m1", "webhook-timestamp": str(NOW), "webhook-signature": signature}
    assert signing.headers(SIGNERS, "m1", NOW, body.encode()) == headers
    assert fits(headers, body.encode())
    assert not fits(headers, body.encode() + b" ")


@pytest.mark.parametrize("change", ["webhook-id", "webhook-timestamp", "body", "key"])
def test_a_change_anywhere_breaks_the_signature(change):
    headers, body, key = signing.headers(SIGNERS, "m1", NOW, b"{}"), b"{}", VERIFIERS
    if change == "body":
        body = b"{ }"
    elif change == "key":
        key = [signing.verifier(OTHER)]
    else:
        headers[change] = {"webhook-id": "m2", "webhook-timestamp": str(NOW + 1)}[change]
    with pytest.raises(signing.SigningError, match="no signature fits"):
        signing.verify(key, headers, body, NOW)


def test_one_of_several_signatures_is_enough():
    headers = signing.headers(SIGNERS, "m1", NOW, b"{}")
    others, ours = ["v1a,xyz", "v1,AAAA"], headers["webhook-signature"]
    for signatures, good in ((others, False), ([*others, ours], True), ([ours, *others], True)):
        assert fits({**headers, "webhook-signature": " ".join(signatures)}, b"{}") == good


@pytest.mark.parametrize(("off", "good"), [(300, True), (-300, True), (301, False), (-301, False)])
def test_the_timestamp_may_be_five_minutes_off(off, good):
    headers = signing.headers(SIGNERS, "m1", NOW, b"{}")
    if good:
        signing.verify(VERIFIERS, headers, b"{}", NOW + off)
    else:
        with pytest.raises(signing.SigningError, match="more than 300 s off"):
            signing.verify(VERIFIERS, headers, b"{}", NOW + off)


@pytest.mark.parametrize("missing", [signing.ID, signing.TIMESTAMP, signing.SIGNATURE])
def test_a_missing_header_is_named(missing):
    headers = signing.headers(SIGNERS, "m1", NOW, b"{}")
    del headers[missing]
    with pytest.raises(signing.SigningError, match=missing):
        signing.verify(VERIFIERS, headers, b"{}", NOW)


@pytest.mark.parametrize("stamp", ["", "soon", "-1", "1e9", "١٢٣"])
def test_a_timestamp_that_is_no_number(stamp):
    headers = {**signing.headers(SIGNERS, "m1", NOW, b"{}"), signing.TIMESTAMP: stamp}
    with pytest.raises(signing.SigningError, match="not a number"):
        signing.verify(VERIFIERS, headers, b"{}", NOW)


@pytest.mark.parametrize("size", [24, 64])
def test_keys_of_the_allowed_sizes(size):
    assert signing.key_of("whsec_" + base64.b64encode(bytes(size)).decode()) == bytes(size)


@pytest.mark.parametrize(
    ("secret", "fault"),
    [
        ("", "does not start with whsec_"),
        ("AAAA", "does not start with whsec_"),
        ("whsec_not base64!", "is not base64"),
        ("whsec_é", "is not base64"),
        ("whsec_" + base64.b64encode(bytes(23)).decode(), "holds 23 bytes"),
        ("whsec_" + base64.b64encode(bytes(65)).decode(), "holds 65 bytes"),
    ],
)
def test_a_bad_secret_is_refused_without_being_repeated(secret, fault):
    with pytest.raises(signing.SigningError, match=fault) as caught:
        signing.key_of(secret)
    assert "not base64!" not in str(caught.value)


@given(body=st.binary(max_size=200), message_id=st.from_regex(r"[a-z0-9-]{1,40}", fullmatch=True))
def test_ed25519_signatures_fit_the_public_key_and_no_other_message(body, message_id):
    headers = signing.headers([signing.signer(PRIVATE)], message_id, NOW, body)
    assert headers["webhook-signature"].startswith("v1a,")
    public = [signing.verifier(signing.public_key(PRIVATE))]
    signing.verify(public, headers, body, NOW)
    # the raw ed25519 of the library, over the content that the specification names
    key = Ed25519PrivateKey.from_private_bytes(SEED).public_key()
    signature = base64.b64decode(headers["webhook-signature"].removeprefix("v1a,"))
    key.verify(signature, f"{message_id}.{NOW}.".encode() + body)
    with pytest.raises(signing.SigningError, match="no signature fits"):
        signing.verify(public, headers, body + b" ", NOW)


def test_a_private_key_may_carry_its_public_half():
    public = Ed25519PrivateKey.from_private_bytes(SEED).public_key().public_bytes_raw()
    whole = "whsk_" + base64.b64encode(SEED + public).decode()
    assert signing.public_key(whole) == signing.public_key(PRIVATE) == "whpk_" + base64.b64encode(public).decode()


def test_while_secrets_rotate_every_consumer_finds_its_signature():
    body = b'{"a": 1}'
    now = int(datetime.now(UTC).timestamp())
    signers = [signing.signer(secret) for secret in (SECRET, OTHER, PRIVATE)]
    headers = signing.headers(signers, "m1", now, body)
    assert Webhook(SECRET).verify(body, headers) == Webhook(OTHER).verify(body, headers) == {"a": 1}
    for secret in (SECRET, OTHER, signing.public_key(PRIVATE)):
        signing.verify([signing.verifier(secret)], headers, body, now)
    with pytest.raises(signing.SigningError, match="no signature fits"):
        signing.verify([signing.verifier("whsec_" + "B" * 32)], headers, body, now)


def test_a_symmetric_signature_does_not_pass_for_an_asymmetric_one():
    headers = signing.headers([signing.signer(PRIVATE)], "m1", NOW, b"{}")
    headers["webhook-signature"] = headers["webhook-signature"].replace("v1a,", "v1,")
    with pytest.raises(signing.SigningError, match="no signature fits"):
        signing.verify([signing.verifier(signing.public_key(PRIVATE))], headers, b"{}", NOW)


@pytest.mark.parametrize(
    ("secret", "fault"),
    [("whsk_", "0 bytes"), ("whsk_!", "not base64"), ("whsk_" + "A" * 8, "6 bytes; 32 or 64"), ("other", "whsec_")],
)
def test_an_unusable_private_key_is_refused(secret, fault):
    with pytest.raises(signing.SigningError, match=fault):
        signing.signer(secret)


@pytest.mark.parametrize("secret", [SECRET, OTHER, signing.public_key(PRIVATE), "whsec_" + "B" * 32])
def test_javascript_verifies_both_kinds(secret):
    body = json.dumps({"text": "grüß dich — привет"}, ensure_ascii=False)
    signers = [signing.signer(each) for each in (SECRET, OTHER, PRIVATE)]
    headers = signing.headers(signers, "m1", int(datetime.now(UTC).timestamp()), body.encode())
    message = json.dumps({"headers": headers, "body": body})
    done = subprocess.run(["node", JS, secret], input=message, capture_output=True, text=True, check=False)
    assert (done.stdout == "verified\n") == (secret != "whsec_" + "B" * 32), done.stderr
