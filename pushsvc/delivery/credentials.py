"""Credentials as people hand them in: read, checked, and chosen for a message (pure)."""

import ipaddress
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

import orjson
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from pushsvc.model import ApnsShape, Credential, FcmShape, GatewayName, Json, Shape

GOOGLE_TOKEN_URI: Final = "https://oauth2.googleapis.com/token"  # noqa: S105 - an address, not a secret
PRODUCTION: Final = "production"
SANDBOX: Final = "sandbox"

#: What a topic has after the bundle id, by push type.
#: https://developer.apple.com/documentation/usernotifications/sending-notification-requests-to-apns
TOPIC_SUFFIXES: Final = (
    ".voip",
    ".complication",
    ".pushkit.fileprovider",
    ".location-query",
    ".push-type.liveactivity",
    ".voip-ptt",
    ".push-type.widgets",
    ".push-type.controls",
)

_APPLE_ID: Final = re.compile(r"[A-Z0-9]{10}")
#: https://learn.microsoft.com/windows/apps/develop/notifications/push-notifications/wns-overview
_PACKAGE_SID: Final = re.compile(r"ms-app://S-1-15-2(-\d{1,10}){7}", re.ASCII | re.IGNORECASE)
_ENTRA_ID: Final = re.compile(r"[A-Za-z0-9.-]{1,100}")
#: A project id stands in a path, so it is held to its own alphabet; a project number is one, too.
#: https://cloud.google.com/resource-manager/docs/creating-managing-projects
_PROJECT_ID: Final = re.compile(r"(?:[a-z0-9.-]{1,64}:)?[a-z0-9-]{1,64}")


class CredentialError(Exception):
    """A credential cannot be used; says which field, and what is wrong with it."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(f"{field}: {message}")
        self.field = field
        self.message = message


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderKey:
    """An APNs token-signing key, and what it signs for."""

    key: ec.EllipticCurvePrivateKey
    key_id: str
    team_id: str
    #: bundle ids; empty: all of the team's
    topics: tuple[str, ...]
    environment: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceAccount:
    """A Google service account: who may send in the name of a project."""

    project_id: str
    client_email: str
    private_key: rsa.RSAPrivateKey
    private_key_id: str
    token_uri: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WnsIdentity:
    """How an app signs in to WNS: as a package, or as an application of an Entra tenant."""

    #: the package SID, or the Entra application's id
    client_id: str
    client_secret: str
    #: None: Partner Center's own sign-in
    tenant: str | None


def parse_apns(public: Json, secret: str) -> ProviderKey:
    """Read an APNs credential.

    Args:
        public: key_id, team_id; topics (all of the team's where missing) and environment
            (production where missing).
        secret: the content of the .p8 file.

    Raises:
        CredentialError: names the field.
    """
    topics = public.get("topics") or ()
    if not isinstance(topics, list | tuple) or not all(
        isinstance(topic, str) and topic for topic in topics
    ):
        raise CredentialError("topics", "must be a list of bundle ids")
    environment = public.get("environment") or PRODUCTION
    if environment not in {PRODUCTION, SANDBOX}:
        raise CredentialError("environment", f"must be {PRODUCTION} or {SANDBOX}")
    return ProviderKey(
        key=parse_p8(secret),
        key_id=_apple_id(public, "key_id"),
        team_id=_apple_id(public, "team_id"),
        topics=tuple(topics),
        environment=environment,
    )


def parse_p8(pem: str) -> ec.EllipticCurvePrivateKey:
    """Read a .p8 file as Apple's developer site hands it out.

    Raises:
        CredentialError: says what it is instead.
    """
    if "BEGIN CERTIFICATE" in pem:
        raise CredentialError("p8", "is a certificate; wanted is a token-signing key (.p8)")
    key = _private_key("p8", pem)
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        raise CredentialError("p8", "is not a P-256 key, which all of Apple's are")
    return key


def parse_service_account(text: str) -> ServiceAccount:
    """Read the JSON key file of a Google service account.

    Raises:
        CredentialError: says which field, or which other file it is.
    """
    content = _json_object(text)
    if "project_info" in content:
        message = "is google-services.json, the app's; wanted is the key file of a service account"
        raise CredentialError("service_account", message)
    if content.get("type") != "service_account":
        raise CredentialError("type", f"must be service_account, is {content.get('type')!r}")
    project_id = _text(content, "project_id")
    if not _PROJECT_ID.fullmatch(project_id):
        raise CredentialError("project_id", "is not a project id")
    key = _private_key("private_key", _text(content, "private_key"))
    if not isinstance(key, rsa.RSAPrivateKey):
        raise CredentialError("private_key", "is not an RSA key, which all of Google's are")
    token_uri = str(content.get("token_uri") or GOOGLE_TOKEN_URI)
    _check_token_uri(token_uri)
    return ServiceAccount(
        project_id=project_id,
        client_email=_text(content, "client_email"),
        private_key=key,
        private_key_id=_text(content, "private_key_id"),
        token_uri=token_uri,
    )


def parse_wns(public: Json, secret: str) -> WnsIdentity:
    """Read a WNS credential.

    Args:
        public: package_sid; or tenant and client_id of an Entra application.
        secret: the client secret.

    Raises:
        CredentialError: names the field.
    """
    if not secret.strip():
        raise CredentialError("client_secret", "is missing")
    if public.get("tenant"):
        return WnsIdentity(
            tenant=_matching(public, "tenant", _ENTRA_ID, wrong="is not a tenant's id or domain"),
            client_id=_matching(public, "client_id", _ENTRA_ID, wrong="is not an application's id"),
            client_secret=secret.strip(),
        )
    form = "is not of the form ms-app://S-1-15-2-..."
    sid = _matching(public, "package_sid", _PACKAGE_SID, wrong=form)
    return WnsIdentity(tenant=None, client_id=sid, client_secret=secret.strip())


def usable(credentials: Iterable[Credential]) -> list[Credential]:
    """Return those that can be read: a worker opens no gateway for any other."""
    return [one for one in credentials if _is_usable(one)]


def _is_usable(credential: Credential) -> bool:
    try:
        if credential.gateway is GatewayName.FCM:
            parse_service_account(credential.secret)
        elif credential.gateway is GatewayName.APNS:
            parse_apns(credential.public, credential.secret)
        else:
            parse_wns(credential.public, credential.secret)
    except CredentialError:
        return False
    return True


def choose(credentials: Iterable[Credential], shape: Shape) -> Credential | None:
    """Choose the credential to send this shape with; None where there is none for it.

    APNs: one that names the topic's bundle id before one that serves any topic, and production
    before sandbox. Of equals, and for FCM and WNS, the newest: who adds one means it to be used.
    """
    gateway = _gateway_of(shape)
    newest_first = sorted(credentials, key=lambda credential: credential.id, reverse=True)
    fitting = [credential for credential in newest_first if credential.gateway is gateway]
    if isinstance(shape, ApnsShape):
        topic = shape.head.topic
        names = {topic, bundle_id(topic)}
        ranked = [(_rank(credential.public, names), credential) for credential in fitting]
        fitting = [c for rank, c in sorted(ranked, key=lambda pair: pair[0]) if rank < _NO_RANK]
    return fitting[0] if fitting else None


def bundle_ids_named(credentials: Iterable[Credential]) -> frozenset[str]:
    """Return all that an app may be called for which one credential is chosen and not another."""
    named = {
        topic
        for one in credentials
        if one.gateway is GatewayName.APNS
        for topic in one.public.get("topics") or ()
    }
    bare = named | {bundle_id(topic) for topic in named}
    return frozenset(bare | {topic + suffix for topic in bare for suffix in TOPIC_SUFFIXES})


def bundle_id(topic: str) -> str:
    """Return the topic without what the push type adds to the bundle id."""
    for suffix in TOPIC_SUFFIXES:
        if topic.endswith(suffix):
            return topic.removesuffix(suffix)
    return topic


#: Greater than every rank of a credential that serves the topic.
_NO_RANK: Final = (2, 0)


def _rank(public: Json, names: set[str]) -> tuple[int, int]:
    topics = public.get("topics") or ()
    if topics and names.isdisjoint(topics):
        return _NO_RANK
    return (0 if topics else 1, int(public.get("environment") == SANDBOX))


def _gateway_of(shape: Shape) -> GatewayName:
    if isinstance(shape, ApnsShape):
        return GatewayName.APNS
    return GatewayName.FCM if isinstance(shape, FcmShape) else GatewayName.WNS


def _private_key(field: str, pem: str) -> PrivateKeyTypes:
    if "BEGIN PUBLIC KEY" in pem:
        raise CredentialError(field, "is a public key; wanted is the private one")
    if "-----BEGIN " not in pem:
        raise CredentialError(field, "is not PEM: it has no line -----BEGIN PRIVATE KEY-----")
    if "\\n" in pem:
        raise CredentialError(field, r"has the two characters \n in place of line breaks")
    try:
        return load_pem_private_key(pem.strip().encode(), password=None)
    except TypeError:
        raise CredentialError(field, "is encrypted; wanted is the key as it was issued") from None
    except (ValueError, UnsupportedAlgorithm):
        raise CredentialError(field, "is damaged or cut off") from None


def _json_object(text: str) -> Mapping[str, Any]:
    try:
        content = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        message = f"is not JSON (line {error.lineno}, column {error.colno})"
        raise CredentialError("service_account", message) from None
    if not isinstance(content, dict):
        raise CredentialError("service_account", "is not a JSON object")
    return content


def _text(content: Mapping[str, Any], field: str) -> str:
    value = content.get(field)
    if not isinstance(value, str) or not value.strip():
        raise CredentialError(field, "is missing")
    return value


def _matching(content: Mapping[str, Any], field: str, form: re.Pattern[str], *, wrong: str) -> str:
    value = _text(content, field).strip()
    if not form.fullmatch(value):
        raise CredentialError(field, wrong)
    return value


def _apple_id(public: Json, field: str) -> str:
    return _matching(public, field, _APPLE_ID, wrong="must be 10 capital letters and digits")


def _check_token_uri(token_uri: str) -> None:
    """Refuse to send assertions just anywhere; without TLS only to ourselves."""
    try:
        parts = urlsplit(token_uri)
    except ValueError:
        raise CredentialError("token_uri", "is not a URL") from None
    host = parts.hostname
    if not host or parts.username is not None:
        raise CredentialError("token_uri", "is not the URL of a token endpoint")
    if parts.scheme != "https" and not (parts.scheme == "http" and _is_loopback(host)):
        raise CredentialError("token_uri", "must be https")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
