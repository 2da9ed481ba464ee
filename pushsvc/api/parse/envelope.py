"""Whose request it is: what Parse SDKs put into headers, HTTP Basic or the body beside the rest."""

import base64
import binascii
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

import orjson

from pushsvc.api.auth import Credentials, Doorkeeper
from pushsvc.errors import Fault, InvalidRequestError, UnauthorizedError
from pushsvc.storage.apps import KeyKind

#: A request's headers by their names in lower case, as ASGI has them.
Headers = Mapping[bytes, bytes]

APPLICATION_ID: Final = b"x-parse-application-id"
INSTALLATION_ID: Final = b"x-parse-installation-id"
CONTEXT: Final = b"x-parse-cloud-context"
#: header -> kind of key
KEY_HEADERS: Final[Mapping[bytes, KeyKind]] = {
    b"x-parse-master-key": KeyKind.MASTER,
    b"x-parse-rest-api-key": KeyKind.REST,
    b"x-parse-javascript-key": KeyKind.JAVASCRIPT,
    b"x-parse-client-key": KeyKind.CLIENT,
    b"x-parse-windows-key": KeyKind.WINDOWS,
}
#: field of the body -> kind of key; the JavaScript SDK sends no headers, to avoid preflights
KEY_FIELDS: Final[Mapping[str, KeyKind]] = {
    "_MasterKey": KeyKind.MASTER,
    "_JavaScriptKey": KeyKind.JAVASCRIPT,
}
#: What else such a body tells of the request rather than of the object, as text.
TEXT_FIELDS: Final = frozenset(
    {
        *KEY_FIELDS,
        *("_ApplicationId", "_InstallationId", "_SessionToken", "_MaintenanceKey"),
        *("_ClientVersion", "_RevocableSession", "_ContentType"),
    }
)
#: The same, whatever their type.
OTHER_FIELDS: Final = ("_context", "_noBody")
#: In HTTP Basic the password is the master key, or this and the JavaScript key.
BASIC_JAVASCRIPT: Final = "javascript-key="


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """Whose request it says it is."""

    credentials: Credentials
    installation_id: str | None


async def open_envelope(headers: Headers, body: dict[str, Any], doorkeeper: Doorkeeper) -> Envelope:
    """Return whose request it is: by HTTP Basic, by the headers, or by the body.

    The first of them that names an app of ours counts. What the body says is then taken out of it;
    of an app that the headers name, it says nothing and remains data.

    Raises:
        UnauthorizedError: keys in the body that are no text.
        InvalidRequestError: a context that is no object.
    """
    _check_context(headers.get(CONTEXT))
    envelope = _from_headers(headers)
    basic = _from_basic(headers, envelope)
    for one in (basic, envelope):
        if one is not None and await doorkeeper.knows(one.credentials.application_id):
            return one
    return _from_body(body, envelope)


def _from_headers(headers: Headers) -> Envelope:
    keys = {kind: _text(headers[name]) for name, kind in KEY_HEADERS.items() if name in headers}
    application_id = _text(headers.get(APPLICATION_ID, b""))
    installation_id = headers.get(INSTALLATION_ID)
    return Envelope(
        credentials=Credentials(application_id=application_id, keys=keys),
        installation_id=None if installation_id is None else _text(installation_id),
    )


def _text(value: bytes) -> str:
    return value.decode("latin-1")


def _from_basic(headers: Headers, envelope: Envelope) -> Envelope | None:
    """Return the same under the app and the key of HTTP Basic; None where there is none."""
    scheme, _, encoded = headers.get(b"authorization", b"").partition(b" ")
    if scheme.lower() != b"basic":
        return None
    try:
        user, colon, password = base64.b64decode(encoded, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return None
    if not colon or "\0" in user:
        return None
    kind = KeyKind.JAVASCRIPT if password.startswith(BASIC_JAVASCRIPT) else KeyKind.MASTER
    given = {kind: password.removeprefix(BASIC_JAVASCRIPT)}
    keys = {**envelope.credentials.keys, **given}
    credentials = Credentials(application_id=user, keys=keys)
    return Envelope(credentials=credentials, installation_id=envelope.installation_id)


def _from_body(body: dict[str, Any], envelope: Envelope) -> Envelope:
    """Take the credentials out of the body, and whatever else is none of the object."""
    texts = {name: body.pop(name) for name in TEXT_FIELDS & body.keys()}
    context, _ = (body.pop(name, None) for name in OTHER_FIELDS)
    if any(value is not None and not isinstance(value, str) for value in texts.values()):
        raise UnauthorizedError("unauthorized")
    _check_context(context)
    given = {kind: texts[name] for name, kind in KEY_FIELDS.items() if texts.get(name)}
    return Envelope(
        credentials=Credentials(
            application_id=texts.get("_ApplicationId") or "",
            keys={**envelope.credentials.keys, **given},
        ),
        installation_id=texts.get("_InstallationId") or envelope.installation_id,
    )


def _check_context(context: Any) -> None:
    """Refuse a context that is no object: it is for Cloud Code, and we have no other use for it."""
    if context is None:
        return
    if isinstance(context, str | bytes):
        with suppress(orjson.JSONDecodeError):
            context = orjson.loads(context)
    if not isinstance(context, dict):
        raise InvalidRequestError([Fault("", "invalid_value", "Invalid object for context.")])
