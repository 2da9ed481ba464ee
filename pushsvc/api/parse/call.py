"""A Parse request, opened: its method, caller, body and parameters, wherever the SDK put them."""

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import orjson
from starlette.requests import Request

from pushsvc.api.auth import Caller, Credentials, Doorkeeper
from pushsvc.api.body import read_object
from pushsvc.errors import MalformedJsonError, UnauthorizedError
from pushsvc.resources import Resources
from pushsvc.storage.apps import KeyKind
from pushsvc.storage.encoded import holds_nul

APPLICATION_ID: Final = "X-Parse-Application-Id"
INSTALLATION_ID: Final = "X-Parse-Installation-Id"
REQUEST_ID: Final = "X-Parse-Request-Id"

#: header -> kind of key
KEY_HEADERS: Final[Mapping[str, KeyKind]] = {
    "X-Parse-Master-Key": KeyKind.MASTER,
    "X-Parse-REST-API-Key": KeyKind.REST,
    "X-Parse-Javascript-Key": KeyKind.JAVASCRIPT,
    "X-Parse-Client-Key": KeyKind.CLIENT,
    "X-Parse-Windows-Key": KeyKind.WINDOWS,
}
#: field of the body -> kind of key; the JavaScript SDK sends no headers, to avoid preflights
KEY_FIELDS: Final[Mapping[str, KeyKind]] = {
    "_MasterKey": KeyKind.MASTER,
    "_JavaScriptKey": KeyKind.JAVASCRIPT,
}
#: What else such a body tells of the request rather than of the object.
ENVELOPE_FIELDS: Final = (
    *("_ApplicationId", "_InstallationId", "_SessionToken", "_MaintenanceKey"),
    *("_ClientVersion", "_RevocableSession", "_context", "_ContentType", "_noBody"),
)
#: In HTTP Basic the password is the master key, or this and the JavaScript key.
BASIC_JAVASCRIPT: Final = "javascript-key="


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A Parse request, whatever its transport."""

    resources: Resources
    caller: Caller
    method: str
    #: below the mount, without slashes at the ends
    path: str
    mount: str
    #: the object or push that was sent
    body: Mapping[str, Any] = field(default_factory=dict)
    #: of the query string, or of the body where that stands in for one
    params: Mapping[str, Any] = field(default_factory=dict)
    installation_id: str | None = None
    #: the same for all attempts of an SDK at one request
    request_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What to answer: a JSON body."""

    body: Any
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(slots=True, kw_only=True)
class _Envelope:
    """Whose request it is, as far as it is known."""

    credentials: Credentials
    installation_id: str | None


async def open_call(
    request: Request, *, path: str, mount: str, resources: Resources, doorkeeper: Doorkeeper
) -> Call:
    """Read a request of a Parse SDK or REST client.

    Keys come in headers, in HTTP Basic or, where those name no app of ours, in the body; `_method`
    in the body of a POST replaces the method, and the body then stands in for the query string.

    Raises:
        UnauthorizedError: no app, or no key of it.
        MalformedJsonError: a body that is not JSON.
    """
    body = await read_object(request)
    envelope = _from_headers(request)
    if not await doorkeeper.knows(envelope.credentials.application_id):
        envelope = _from_body(body)
    caller = await doorkeeper.parse_caller(envelope.credentials)
    method = request.method
    if method == "POST" and isinstance(body.get("_method"), str):
        method = body.pop("_method").upper()
    sent = dict(request.query_params) or body if method in {"GET", "DELETE"} else {}
    return Call(
        resources=resources,
        caller=caller,
        method=method,
        path=path.strip("/"),
        mount=mount,
        body=body,
        params={name: _decoded(value) for name, value in sent.items()},
        installation_id=envelope.installation_id,
        request_id=request.headers.get(REQUEST_ID),
    )


def _from_headers(request: Request) -> _Envelope:
    headers = request.headers
    application_id = headers.get(APPLICATION_ID, "")
    keys = {kind: headers[name] for name, kind in KEY_HEADERS.items() if name in headers}
    basic = _basic(headers.get("Authorization", ""))
    if basic is not None:
        application_id, password = basic
        if password.startswith(BASIC_JAVASCRIPT):
            keys[KeyKind.JAVASCRIPT] = password.removeprefix(BASIC_JAVASCRIPT)
        else:
            keys[KeyKind.MASTER] = password
    credentials = Credentials(application_id=application_id, keys=keys)
    return _Envelope(credentials=credentials, installation_id=headers.get(INSTALLATION_ID))


def _basic(authorization: str) -> tuple[str, str] | None:
    scheme, _, encoded = authorization.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        user, colon, password = base64.b64decode(encoded, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return None
    return (user, password) if colon and "\0" not in user else None


def _from_body(body: dict[str, Any]) -> _Envelope:
    """Take the credentials out of the body, and whatever else is none of the object."""
    taken = {name: body.pop(name, None) for name in (*KEY_FIELDS, *ENVELOPE_FIELDS)}
    texts = {name: taken[name] for name in (*KEY_FIELDS, "_ApplicationId", "_InstallationId")}
    if any(value is not None and not isinstance(value, str) for value in texts.values()):
        raise UnauthorizedError("unauthorized")
    keys = {kind: texts[name] for name, kind in KEY_FIELDS.items() if texts[name] is not None}
    credentials = Credentials(application_id=texts["_ApplicationId"] or "", keys=keys)
    return _Envelope(credentials=credentials, installation_id=texts["_InstallationId"])


def _decoded(value: Any) -> Any:
    """Read a parameter as Parse Server does: as JSON where it is JSON, else as it is."""
    if not isinstance(value, str):
        return value
    if "\0" in value or holds_nul(value.encode()):
        raise MalformedJsonError("A parameter holds the character U+0000.")
    try:
        return orjson.loads(value)
    except orjson.JSONDecodeError:
        return value
