"""The credentials senders use against the simulators: made once, kept as files, given out whole."""

import secrets
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from pushsvc.simulators.authority import write_private

TEAM_ID = "SIMTEAM001"
KEY_ID = "SIMKEY0001"
TOPICS = ("com.example.app",)
PROJECT_ID = "pushsvc-simulator"
CLIENT_EMAIL = f"sender@{PROJECT_ID}.iam.gserviceaccount.com"
RSA_BITS = 2048

FCM_MEMBERS = {"project_id", "private_key_id", "private_key", "client_email"}
#: Further senders that are known from the start, in the shape of `POST /credentials`.
SENDERS_FILE = "senders.json"
WNS_MEMBERS = {"package_sid", "client_secret", "tenant_id", "client_id"}


class BrokenCredentialError(ValueError):
    """A credential file is damaged; the message names it."""

    def __init__(self, file: Path) -> None:
        super().__init__(f"{file} is damaged: delete it, and it is made anew")


@dataclass(frozen=True, slots=True, kw_only=True)
class ApnsCredential:
    """An APNs token-signing key, as Apple hands it out."""

    key_id: str
    team_id: str
    topics: tuple[str, ...]
    p8_file: Path
    p8: str

    @property
    def topic(self) -> str:
        """The first topic: what a sender with one app uses."""
        return self.topics[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class FcmCredential:
    """A Google service account; `service_account` is the content of `file`."""

    file: Path
    service_account: Mapping[str, str]

    @property
    def project_id(self) -> str:
        """The project in the path of `messages:send`."""
        return self.service_account["project_id"]


@dataclass(frozen=True, slots=True, kw_only=True)
class WnsCredential:
    """Both ways of signing in to WNS: Partner Center (package SID), Entra (tenant, app id)."""

    file: Path
    package_sid: str
    client_secret: str
    tenant_id: str
    client_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """One credential of each gateway."""

    apns: ApnsCredential
    fcm: FcmCredential
    wns: WnsCredential


def open_credentials(directory: Path, *, token_uri: str) -> Credentials:
    """The credentials in `directory`; what is missing is made.

    Args:
        directory: must exist.
        token_uri: our OAuth endpoint. Its port may change between runs, so it is written anew.

    Raises:
        BrokenCredentialError: when a file is there and cannot be used.
    """
    return Credentials(
        apns=_apns(directory / f"AuthKey_{KEY_ID}.p8"),
        fcm=_fcm(directory / "service-account.json", token_uri),
        wns=_wns(directory / "wns.json"),
    )


def read_senders(directory: Path) -> Mapping[str, Any]:
    """The document of `senders.json`; nothing when there is none.

    Raises:
        BrokenCredentialError: when the file is damaged.
    """
    return _read(directory / SENDERS_FILE, set())


def _apns(file: Path) -> ApnsCredential:
    if not file.exists():
        write_private(file, _pem(ec.generate_private_key(ec.SECP256R1())))
    p8 = file.read_text(errors="replace")
    if "PRIVATE KEY" not in p8:
        raise BrokenCredentialError(file)
    return ApnsCredential(key_id=KEY_ID, team_id=TEAM_ID, topics=TOPICS, p8_file=file, p8=p8)


def _fcm(file: Path, token_uri: str) -> FcmCredential:
    account = _read(file, FCM_MEMBERS) or {
        "type": "service_account",
        "project_id": PROJECT_ID,
        "private_key_id": secrets.token_hex(20),
        "private_key": _pem(rsa.generate_private_key(65537, RSA_BITS)).decode(),
        "client_email": CLIENT_EMAIL,
        "client_id": "100000000000000000001",
        "universe_domain": "googleapis.com",
    }
    account |= {"token_uri": token_uri}
    write_private(file, orjson.dumps(account, option=orjson.OPT_INDENT_2))
    return FcmCredential(file=file, service_account=account)


def _wns(file: Path) -> WnsCredential:
    secret = _read(file, WNS_MEMBERS) or {
        "package_sid": "ms-app://S-1-15-2-" + "-".join(_sid_part() for _ in range(7)),
        "client_secret": secrets.token_urlsafe(24),
        "tenant_id": str(uuid.uuid4()),
        "client_id": str(uuid.uuid4()),
    }
    write_private(file, orjson.dumps(secret, option=orjson.OPT_INDENT_2))
    return WnsCredential(file=file, **{name: secret[name] for name in WNS_MEMBERS})


def _sid_part() -> str:
    return str(secrets.randbelow(2**32))


def _read(file: Path, members: set[str]) -> dict[str, Any]:
    if not file.exists():
        return {}
    try:
        content = orjson.loads(file.read_bytes())
    except orjson.JSONDecodeError as error:
        raise BrokenCredentialError(file) from error
    if not isinstance(content, dict) or not members <= set(content):
        raise BrokenCredentialError(file)
    return content


def _pem(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
