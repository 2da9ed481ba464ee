"""Credentials as people hand them in, right and wrong."""

from typing import Any

import orjson
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from hypothesis import given, strategies as st

from pushsvc.delivery import credentials
from pushsvc.delivery.credentials import CredentialError, choose
from pushsvc.model import ApnsHead, ApnsShape, Credential, FcmShape, GatewayName, WnsShape

P256 = ec.generate_private_key(ec.SECP256R1())
P384 = ec.generate_private_key(ec.SECP384R1())
RSA = rsa.generate_private_key(65537, 2048)
SID = "ms-app://S-1-15-2-1-2-3-4-5-6-4294967295"


def pem(key: PrivateKeyTypes, password: bytes | None = None) -> str:
    secret = BestAvailableEncryption(password) if password else NoEncryption()
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, secret).decode()


def public_pem(key: ec.EllipticCurvePrivateKey) -> str:
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def account(**changes: Any) -> str:
    content: dict[str, Any] = {
        "type": "service_account",
        "project_id": "demo-1",
        "private_key_id": "k1",
        "private_key": pem(RSA),
        "client_email": "sender@demo-1.iam.gserviceaccount.com",
        "token_uri": "https://oauth2.googleapis.com/token",
    }
    content |= changes
    return orjson.dumps({k: v for k, v in content.items() if v is not None}).decode()


def test_a_p8_file_is_read() -> None:
    """The file as Apple hands it out, with or without space around."""
    key = credentials.parse_p8(f"\n {pem(P256)} \n")

    assert P256.public_key() == key.public_key()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        pytest.param("", "not PEM", id="empty"),
        pytest.param("MIGTAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBHkwdwIBAQ", "not PEM", id="bare base64"),
        pytest.param(pem(P384), "P-256", id="other curve"),
        pytest.param(pem(RSA), "P-256", id="RSA"),
        pytest.param(public_pem(P256), "public key", id="public half"),
        pytest.param(pem(P256, b"secret"), "encrypted", id="encrypted"),
        pytest.param(pem(P256)[:80], "damaged", id="cut off"),
        pytest.param(pem(P256).replace("M", "é"), "damaged", id="not ASCII"),
        pytest.param(pem(P256).replace("\n", "\\n"), "line breaks", id="escaped line breaks"),
        pytest.param("-----BEGIN CERTIFICATE-----\n", "certificate", id="certificate"),
    ],
)
def test_a_broken_p8_says_what_it_is(text: str, says: str) -> None:
    """The error names the field and what is wrong, and never the key."""
    with pytest.raises(CredentialError, match=says) as caught:
        credentials.parse_p8(text)

    assert caught.value.field == "p8"
    assert not text or text.splitlines()[-1] not in str(caught.value)


def test_an_apns_credential_is_read() -> None:
    """Key, ids, topics and environment; production and all topics where nothing is said."""
    public = {"key_id": "ABC1234567", "team_id": "TEAM123456"}
    plain = credentials.parse_apns(public, pem(P256))
    full = credentials.parse_apns(
        {**public, "topics": ["com.a"], "environment": "sandbox"}, pem(P256)
    )

    assert (plain.topics, plain.environment) == ((), "production")
    assert (full.topics, full.environment) == (("com.a",), "sandbox")
    assert (full.key_id, full.team_id) == ("ABC1234567", "TEAM123456")


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"key_id": None}, "key_id"),
        ({"key_id": "abc1234567"}, "key_id"),
        ({"team_id": "TEAM12345\n"}, "team_id"),
        ({"topics": "com.a"}, "topics"),
        ({"topics": [7]}, "topics"),
        ({"topics": 7}, "topics"),
        ({"environment": "staging"}, "environment"),
    ],
)
def test_a_wrong_apns_field_is_named(changes: dict[str, Any], field: str) -> None:
    """Each field has its own error."""
    public = {"key_id": "ABC1234567", "team_id": "TEAM123456", **changes}

    with pytest.raises(CredentialError) as caught:
        credentials.parse_apns(public, pem(P256))
    assert field == caught.value.field


def test_a_service_account_is_read() -> None:
    """The key file as Google hands it out; without token_uri, Google's own."""
    read = credentials.parse_service_account(account(token_uri=None))

    assert (read.project_id, read.private_key_id) == ("demo-1", "k1")
    assert read.client_email == "sender@demo-1.iam.gserviceaccount.com"
    assert read.token_uri == "https://oauth2.googleapis.com/token"
    assert RSA.public_key() == read.private_key.public_key()


@pytest.mark.parametrize(
    ("text", "field"),
    [
        pytest.param("{", "service_account", id="not JSON"),
        pytest.param("[]", "service_account", id="no object"),
        pytest.param('{"project_info":{}}', "service_account", id="google-services.json"),
        pytest.param(account(type="authorized_user"), "type", id="a user's"),
        pytest.param(account(project_id=None), "project_id", id="no project"),
        pytest.param(account(project_id="a/../b"), "project_id", id="a path"),
        pytest.param(account(client_email=""), "client_email", id="no email"),
        pytest.param(account(private_key_id=7), "private_key_id", id="key id no text"),
        pytest.param(account(private_key=None), "private_key", id="no key"),
        pytest.param(account(private_key="x"), "private_key", id="key no PEM"),
        pytest.param(account(private_key=pem(P256)), "private_key", id="key not RSA"),
        pytest.param(account(token_uri="http://example.com/"), "token_uri", id="no TLS"),
        pytest.param(account(token_uri="http://127.0.0.1.evil.example/"), "token_uri", id="almost"),
        pytest.param(account(token_uri="https://u@example.com/"), "token_uri", id="user"),
        pytest.param(account(token_uri="https://["), "token_uri", id="no URL"),
        pytest.param(account(token_uri="file:///etc/passwd"), "token_uri", id="file"),
        pytest.param(account(token_uri={"a": 1}), "token_uri", id="an object"),
    ],
)
def test_a_broken_service_account_names_the_field(text: str, field: str) -> None:
    """The error names the field; assertions go to https only, or to ourselves."""
    with pytest.raises(CredentialError) as caught:
        credentials.parse_service_account(text)
    assert field == caught.value.field
    assert "PRIVATE KEY-----\\n" not in str(caught.value)


@pytest.mark.parametrize("host", ["127.0.0.1:8080", "localhost:1", "[::1]:5"])
def test_a_token_endpoint_of_our_own_needs_no_tls(host: str) -> None:
    """Loopback never leaves the machine."""
    uri = f"http://{host}/token"

    assert uri == credentials.parse_service_account(account(token_uri=uri)).token_uri


def test_a_wns_credential_is_read() -> None:
    """A package SID, or an application of an Entra tenant."""
    package = credentials.parse_wns({"package_sid": SID}, " s3cret\n")
    entra = credentials.parse_wns({"tenant": "contoso.com", "client_id": "app-1"}, "s3cret")

    assert (package.tenant, package.client_id, package.client_secret) == (None, SID, "s3cret")
    assert (entra.tenant, entra.client_id) == ("contoso.com", "app-1")


@pytest.mark.parametrize(
    ("public", "secret", "field"),
    [
        ({"package_sid": SID}, " ", "client_secret"),
        ({}, "s", "package_sid"),
        ({"package_sid": "S-1-15-2-1"}, "s", "package_sid"),
        ({"package_sid": SID + "-7"}, "s", "package_sid"),
        ({"tenant": "a/b", "client_id": "c"}, "s", "tenant"),
        ({"tenant": "t"}, "s", "client_id"),
    ],
)
def test_a_wrong_wns_field_is_named(public: dict[str, Any], secret: str, field: str) -> None:
    """Each field has its own error; a tenant stands in a URL and is held to its alphabet."""
    with pytest.raises(CredentialError) as caught:
        credentials.parse_wns(public, secret)
    assert field == caught.value.field


def stored(number: int, gateway: GatewayName, **public: Any) -> Credential:
    return Credential(id=number, app_id=1, gateway=gateway, public=public, secret="")


def apns(topic: str) -> ApnsShape:
    return ApnsShape(ApnsHead(push_id=1, topic=topic, headers=()), b"{}")


ANY = stored(1, GatewayName.APNS, environment="production")
SANDBOX_A = stored(2, GatewayName.APNS, topics=["com.a"], environment="sandbox")
PRODUCTION_A = stored(3, GatewayName.APNS, topics=["com.a", "com.b"], environment="production")
SECOND_A = stored(4, GatewayName.APNS, topics=["com.a"], environment="production")
ONLY_VOIP = stored(5, GatewayName.APNS, topics=["com.a.voip"])
FCM = stored(6, GatewayName.FCM, project_id="p")
WNS = stored(7, GatewayName.WNS, package_sid=SID)


@pytest.mark.parametrize(
    ("topic", "among", "chosen"),
    [
        pytest.param("com.a", [ANY, SANDBOX_A, PRODUCTION_A], PRODUCTION_A, id="named, production"),
        pytest.param("com.a", [ANY, SANDBOX_A], SANDBOX_A, id="named before any"),
        pytest.param("com.c", [SANDBOX_A, ANY], ANY, id="any"),
        pytest.param("com.c", [SANDBOX_A, PRODUCTION_A, FCM], None, id="none"),
        pytest.param("com.a", [PRODUCTION_A, SECOND_A], SECOND_A, id="newest of equals"),
        pytest.param("com.a.voip", [PRODUCTION_A], PRODUCTION_A, id="suffix"),
        pytest.param("com.a.push-type.liveactivity", [SANDBOX_A], SANDBOX_A, id="long suffix"),
        pytest.param("com.a.voip", [ONLY_VOIP], ONLY_VOIP, id="the topic itself"),
        pytest.param("com.a", [ONLY_VOIP], None, id="not its other topics"),
        pytest.param("com.abc", [SANDBOX_A], None, id="not a prefix"),
    ],
)
def test_a_topic_chooses_its_credential(
    topic: str, among: list[Credential], chosen: Credential | None
) -> None:
    """One that names the bundle id before one for all, production before sandbox."""
    assert chosen is choose(among, apns(topic))


def test_fcm_and_wns_take_the_newest_of_theirs() -> None:
    """There is nothing in these shapes to choose by."""
    among = [ANY, stored(4, GatewayName.FCM), FCM, WNS, stored(5, GatewayName.WNS)]

    assert FCM is choose(among, FcmShape(head=b"", tail=b""))
    assert WNS is choose(among, WnsShape(headers=(), body=b""))
    assert choose([ANY], WnsShape(headers=(), body=b"")) is None


@given(st.from_regex(r"[a-z]{1,5}(\.[a-z]{1,5}){0,3}", fullmatch=True))
def test_a_bundle_id_is_found_behind_every_suffix(bundle: str) -> None:
    """Whatever the push type adds is taken away again, and once only."""
    for suffix in credentials.TOPIC_SUFFIXES:
        assert bundle == credentials.bundle_id(bundle + suffix)
