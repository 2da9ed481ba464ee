"""Who may send: the keys, accounts and apps that the gateways know, and the tokens they issued."""

import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from pushsvc.simulators.credentials import Credentials

#: Senders of one kind that may be registered, and access tokens that are remembered.
MAX_SENDERS = 1000
MAX_ACCESS_TOKENS = 10_000
#: A key with this among its topics may send to any.
ANY_TOPIC = "*"


class RegistrationError(ValueError):
    """The credential cannot be registered; the message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ApnsKey:
    """The public half of an APNs signing key. `environment` None: both."""

    key_id: str
    team_id: str
    topics: frozenset[str]
    public_key: ec.EllipticCurvePublicKey
    environment: str | None = None

    def allows(self, bundle: str) -> bool:
        """Whether the key may send to this bundle id."""
        return bundle in self.topics or ANY_TOPIC in self.topics


@dataclass(frozen=True, slots=True, kw_only=True)
class FcmAccount:
    """A service account. `token_uri` is what its assertions may name as audience."""

    client_email: str
    project_id: str
    private_key_id: str
    token_uri: str
    public_key: rsa.RSAPublicKey


@dataclass(frozen=True, slots=True, kw_only=True)
class WnsApp:
    """An app that may sign in, the legacy way (`package_sid`) or with Entra (`tenant_id`)."""

    client_id: str
    client_secret: str
    tenant_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessToken:
    """A bearer token that was issued: to whom, and until when (Unix seconds)."""

    subject: str
    expires_at: float
    revoked: bool = False


class AccessTokens:
    """The bearer tokens of one gateway; the oldest is forgotten when there are too many."""

    def __init__(self) -> None:
        self._tokens: dict[bytes, AccessToken] = {}
        self.fetches = 0

    def issue(self, token: AccessToken) -> str:
        """Remember a new token and return its secret."""
        secret = "ya29.sim." + secrets.token_urlsafe(32)
        if len(self._tokens) >= MAX_ACCESS_TOKENS:
            del self._tokens[next(iter(self._tokens))]
        self._tokens[secret.encode()] = token
        return secret

    def find(self, authorization: bytes) -> AccessToken | None:
        """The token of an `authorization: Bearer` field; expired ones are found too."""
        scheme, _, secret = authorization.partition(b" ")
        return self._tokens.get(secret.strip()) if scheme.lower() == b"bearer" else None


class Registry:
    """Everything the gateways check credentials against."""

    def __init__(self, credentials: Credentials) -> None:
        self.apns: dict[str, ApnsKey] = {}
        self.fcm: dict[str, FcmAccount] = {}
        self.wns: dict[str, WnsApp] = {}
        self.fcm_tokens = AccessTokens()
        self.wns_tokens = AccessTokens()
        apns, wns = credentials.apns, credentials.wns
        self.register(
            {
                "apns": [
                    {
                        "key_id": apns.key_id,
                        "team_id": apns.team_id,
                        "topics": apns.topics,
                        "key": apns.p8,
                    }
                ],
                "fcm": [credentials.fcm.service_account],
                "wns": [
                    {"client_id": wns.package_sid, "client_secret": wns.client_secret},
                    {
                        "client_id": wns.client_id,
                        "client_secret": wns.client_secret,
                        "tenant_id": wns.tenant_id,
                    },
                ],
            }
        )

    def register(self, document: Mapping[str, Any]) -> dict[str, int]:
        """Add senders; returns how many of each kind. All or nothing.

        Shape: `{"apns": [{key_id, team_id, topics, key, environment?}], "fcm": [service account],
        "wns": [{client_id, client_secret, tenant_id?}]}`, where keys are PEM, public or private.

        Raises:
            RegistrationError: naming what is wrong.
        """
        try:
            apns = [_apns_key(item) for item in document.get("apns", [])]
            fcm = [_fcm_account(item) for item in document.get("fcm", [])]
            wns = [_wns_app(item) for item in document.get("wns", [])]
        except KeyError as error:
            message = f"missing field: {error.args[0]}"
            raise RegistrationError(message) from error
        except (TypeError, AttributeError) as error:
            message = "apns, fcm and wns are lists of objects"
            raise RegistrationError(message) from error
        self.apns.update((key.key_id, key) for key in _room(apns, self.apns))
        self.fcm.update((account.client_email, account) for account in _room(fcm, self.fcm))
        self.wns.update((app.client_id, app) for app in _room(wns, self.wns))
        return {"apns": len(apns), "fcm": len(fcm), "wns": len(wns)}


Sender = TypeVar("Sender")


def _room(senders: list[Sender], known: Mapping[str, Any]) -> Iterable[Sender]:
    if len(senders) + len(known) > MAX_SENDERS:
        message = f"at most {MAX_SENDERS} senders of a kind"
        raise RegistrationError(message)
    return senders


def _apns_key(item: Mapping[str, Any]) -> ApnsKey:
    return ApnsKey(
        key_id=item["key_id"],
        team_id=item["team_id"],
        topics=frozenset(item["topics"]),
        public_key=_elliptic(_public_key(item["key"])),
        environment=item.get("environment"),
    )


def _fcm_account(item: Mapping[str, Any]) -> FcmAccount:
    return FcmAccount(
        client_email=item["client_email"],
        project_id=item["project_id"],
        private_key_id=item["private_key_id"],
        token_uri=item["token_uri"],
        public_key=_rsa(_public_key(item.get("public_key") or item["private_key"])),
    )


def _wns_app(item: Mapping[str, Any]) -> WnsApp:
    return WnsApp(
        client_id=item["client_id"],
        client_secret=item["client_secret"],
        tenant_id=item.get("tenant_id"),
    )


def _elliptic(key: object) -> ec.EllipticCurvePublicKey:
    if isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1):
        return key
    message = "the key is not on the curve P-256"
    raise RegistrationError(message)


def _rsa(key: object) -> rsa.RSAPublicKey:
    if isinstance(key, rsa.RSAPublicKey):
        return key
    message = "the key is not an RSA key"
    raise RegistrationError(message)


def _public_key(pem: str) -> object:
    """The public key in a PEM of either half."""
    content = pem.encode()
    try:
        if "PRIVATE KEY" in pem:
            # Checking an RSA key takes 30 ms, and a bad one only harms who brought it.
            return serialization.load_pem_private_key(
                content, password=None, unsafe_skip_rsa_key_validation=True
            ).public_key()
        return serialization.load_pem_public_key(content)
    except (ValueError, UnsupportedAlgorithm) as error:
        message = "the key is not a PEM key"
        raise RegistrationError(message) from error
