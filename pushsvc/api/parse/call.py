"""A Parse request, opened: its method, caller, body and parameters, wherever the SDK put them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from starlette.requests import Request

from pushsvc.api.auth import Caller, Doorkeeper
from pushsvc.api.body import as_object, parse, read_body
from pushsvc.api.parse.envelope import TEXT_FIELDS, Headers, open_envelope
from pushsvc.api.parse.form import decoded, read_form
from pushsvc.errors import Fault, InvalidRequestError
from pushsvc.resources import Resources

REQUEST_ID: Final = b"x-parse-request-id"
#: What a POST may say it is; in this order in what we say of it.
METHODS: Final = ("GET", "POST", "PUT", "DELETE")
#: Whose parameters may stand in the body.
_WITHOUT_OBJECT: Final = frozenset({"GET", "DELETE"})


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


async def open_call(
    request: Request, *, path: str, mount: str, resources: Resources, doorkeeper: Doorkeeper
) -> Call:
    """Read a request of a Parse SDK or REST client.

    Keys come in headers, in HTTP Basic or, where those name no app of ours, in the body; `_method`
    in the body of a POST replaces the method, and the body then stands in for the query string.

    Raises:
        UnauthorizedError: no app, or no key of it.
        MalformedJsonError: a body that is not JSON.
        InvalidRequestError: a body that is no object, a context that is none, an unknown method.
    """
    headers: Headers = dict(request.scope["headers"])
    body = _read(await read_body(request), headers)
    envelope = await open_envelope(headers, body, doorkeeper)
    caller = await doorkeeper.parse_caller(envelope.credentials)
    method = method_of(request.method, body)
    request_id, queried = headers.get(REQUEST_ID, b""), request.scope["query_string"]
    return Call(
        resources=resources,
        caller=caller,
        method=method,
        path=path.strip("/"),
        mount=mount,
        body=body,
        params=params_of(method, body, request.query_params if queried else {}),
        installation_id=envelope.installation_id,
        # An empty header is none: else all who send it so would share one push.
        request_id=request_id.decode("latin-1") or None,
    )


def _read(raw: bytes, headers: Headers) -> dict[str, Any]:
    """Read the body: JSON whatever its type is said to be, or a form."""
    form = read_form(raw, headers.get(b"content-type", b""), texts=TEXT_FIELDS)
    return as_object(parse(raw)) if form is None else form


def method_of(sent: str, body: dict[str, Any]) -> str:
    """Return the request's method, and take it out of the body where it stands there.

    Raises:
        InvalidRequestError: the body names one that there is not.
    """
    if sent == "HEAD":
        return "GET"
    if sent != "POST" or "_method" not in body:
        return sent
    named = body.pop("_method")
    method = named.upper() if isinstance(named, str) else None
    if method not in METHODS:
        text = f"_method must be one of {', '.join(METHODS)}."
        raise InvalidRequestError([Fault("/_method", "invalid_value", text)])
    return method


def params_of(method: str, body: Mapping[str, Any], query: Mapping[str, str]) -> Mapping[str, Any]:
    """Return the parameters: of the query string, and of a body that has no object.

    Raises:
        UnstorableError: one holds what cannot be stored.
    """
    if method not in _WITHOUT_OBJECT:
        return {}
    return {name: decoded(value) for name, value in {**body, **query}.items()}
