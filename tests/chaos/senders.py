"""Credentials of each app: keys, accounts and secrets that the simulators know from the start."""

import json
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa


def topic(app: int) -> str:
    """Return the bundle id of an app."""
    return f"com.example.chaos{app}"


def make(app: int) -> dict[str, Any]:
    """Return the app's credentials in the shape in which simulators tell theirs."""
    project = f"chaos-{app}"
    return {
        "apns": {
            "key_id": f"CHAOSKEY{app:02d}",
            "team_id": f"CHAOSTEA{app:02d}",
            "topics": [topic(app)],
            "p8": _pem(ec.generate_private_key(ec.SECP256R1())),
        },
        "fcm": {
            "service_account": {
                "type": "service_account",
                "project_id": project,
                "private_key_id": secrets.token_hex(20),
                "private_key": _pem(rsa.generate_private_key(65537, 2048)),
                "client_email": f"sender@{project}.iam.gserviceaccount.com",
                "client_id": "100000000000000000001",
                "universe_domain": "googleapis.com",
            }
        },
        "wns": {
            "package_sid": f"ms-app://S-1-15-2-{app}-1-1-1-1-1-1",
            "client_secret": secrets.token_urlsafe(24),
        },
    }


def write(directory: Path, made: Sequence[Mapping[str, Any]], *, token_uri: str) -> None:
    """Tell the simulators of this directory whom they know, and the accounts where to sign in."""
    for one in made:
        one["fcm"]["service_account"]["token_uri"] = token_uri
    document = {
        "apns": [{**one["apns"], "key": one["apns"]["p8"]} for one in made],
        "fcm": [one["fcm"]["service_account"] for one in made],
        "wns": [
            {"client_id": one["wns"]["package_sid"], "client_secret": one["wns"]["client_secret"]}
            for one in made
        ],
    }
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "senders.json").write_text(json.dumps(document))


def _pem(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> str:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ).decode()
