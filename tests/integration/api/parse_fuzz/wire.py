"""A call on its way: each transport of Parse's, as bytes, and headers that nobody would send."""

import base64
import json
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from random import Random
from typing import Any
from urllib.parse import quote

from tests.integration.api.parse_fuzz.calls import Call, any_call
from tests.integration.api.parse_fuzz.values import RAW, odd_scalar

MOUNTS = ("/parse", "/1")
Headers = tuple[tuple[bytes, bytes], ...]


@dataclass(frozen=True, kw_only=True)
class Request:
    """One as it goes out."""

    method: str
    target: bytes
    headers: Headers
    body: bytes = b""

    def curl(self, url: str) -> str:
        """The command that sends it."""
        words = ["curl", "-sS", "-i", "-X", self.method]
        for name, value in self.headers:
            words += ["-H", f"{name.decode()}: {value.decode('latin-1')}"]
        line = shlex.join([*words, url + self.target.decode()])
        if not self.body:
            return line
        octets = "".join(
            f"\\x{octet:02x}" if not 32 <= octet < 127 or octet in b"'\\" else chr(octet)
            for octet in self.body
        )
        return f"printf '%b' $'{octets}' | {line} --data-binary @-"


@dataclass(frozen=True, kw_only=True)
class Keys:
    """An app's keys."""

    application_id: str
    master: str
    rest: str
    javascript: str


def text_of(value: Any) -> bytes:
    """JSON text, of what is none as well."""
    text = json.dumps(value, ensure_ascii=True)
    for mark, raw in RAW.items():
        text = text.replace(json.dumps(mark), raw)
    return text.encode("utf-8", "surrogateescape")


# ---------------------------------------------------------------- transports


def by_headers(dice: Random, call: Call, keys: Keys) -> Request:
    """As REST clients do."""
    return _request(dice, call, headers=_key_headers(dice, keys))


def master_request(call: Call, keys: Keys) -> Request:
    """As a REST client with the master key sends it."""
    headers = (
        (b"X-Parse-Application-Id", keys.application_id.encode()),
        (b"X-Parse-Master-Key", keys.master.encode()),
    )
    return _request(Random(0), call, headers=headers)


def by_basic(dice: Random, call: Call, keys: Keys) -> Request:
    """As HTTP has it."""
    password = dice.choice((keys.master, f"javascript-key={keys.javascript}"))
    pair = base64.b64encode(f"{keys.application_id}:{password}".encode())
    return _request(dice, call, headers=((b"Authorization", b"Basic " + pair),))


def by_body(dice: Random, call: Call, keys: Keys) -> Request:
    """As the JavaScript SDK does: everything is a POST, with the keys in the body."""
    fields = {
        "_ApplicationId": keys.application_id,
        "_JavaScriptKey": keys.javascript,
        "_ClientVersion": "js5.3.0",
        "_InstallationId": dice.choice(("id-2", "ID-2", "", odd_scalar(dice))),
    }
    if dice.random() < 0.8:
        fields["_MasterKey"] = keys.master
    return _posted(dice, call, fields, headers=((b"Content-Type", b"text/plain"),))


def by_method(dice: Random, call: Call, keys: Keys) -> Request:
    """As the mobile SDKs do: keys in headers, the method in the body."""
    return _posted(dice, call, {}, headers=_key_headers(dice, keys))


def by_form(dice: Random, call: Call, keys: Keys) -> Request:
    """As forms of browsers are."""
    fields = {
        "_method": call.method,
        **call.params,
        **(call.body if isinstance(call.body, dict) else {}),
    }
    pairs = (f"{_quoted(key)}={_quoted(_as_text(value))}" for key, value in fields.items())
    headers = _key_headers(dice, keys)
    content = (b"Content-Type", b"application/x-www-form-urlencoded; charset=UTF-8")
    target = _target(dice, call, {})
    return Request(
        method="POST", target=target, headers=(*headers, content), body="&".join(pairs).encode()
    )


def by_batch(dice: Random, call: Call, keys: Keys) -> Request:
    """As SDKs save many objects at once."""
    items = [
        _item(dice, one) for one in (call, *(any_call(dice) for _ in range(dice.randrange(3))))
    ]
    body: dict[str, Any] = {"requests": items}
    if dice.random() < 0.1:
        body["transaction"] = odd_scalar(dice)
    batch = Call(method="POST", path="batch", body=body)
    return dice.choice((by_headers, by_body))(dice, batch, keys)


TRANSPORTS: tuple[Callable[[Random, Call, Keys], Request], ...] = (
    *(by_headers, by_headers, by_headers, by_body, by_body, by_method, by_form, by_basic, by_batch),
)


def carried(dice: Random, call: Call, keys: Keys) -> Request:
    """The call by any of the transports."""
    return dice.choice(TRANSPORTS)(dice, call, keys)


def _key_headers(dice: Random, keys: Keys) -> Headers:
    key = (b"X-Parse-Master-Key", keys.master)
    if dice.random() < 0.2:
        key = dice.choice(
            ((b"X-Parse-REST-API-Key", keys.rest), (b"X-Parse-Javascript-Key", keys.javascript))
        )
    return ((b"X-Parse-Application-Id", keys.application_id.encode()), (key[0], key[1].encode()))


def _request(dice: Random, call: Call, *, headers: Headers) -> Request:
    body = b"" if call.body is None else text_of(call.body)
    content = ((b"Content-Type", b"application/json"),) if body else ()
    return Request(
        method=call.method,
        target=_target(dice, call, call.params),
        headers=(*headers, *content),
        body=body,
    )


def _posted(dice: Random, call: Call, fields: dict[str, Any], *, headers: Headers) -> Request:
    own = call.body if isinstance(call.body, dict) else {}
    body = {**call.params, **own, **fields, "_method": call.method}
    target = _target(dice, call, {})
    return Request(method="POST", target=target, headers=headers, body=text_of(body))


def _item(dice: Random, call: Call) -> dict[str, Any]:
    path = f"{dice.choice(MOUNTS)}/{call.path}{_query(call.params)}"
    item: dict[str, Any] = {"method": call.method, "path": path}
    if call.body is not None:
        item["body"] = call.body
    if dice.random() < 0.05:
        item[dice.choice(("method", "path", "body", "more"))] = odd_scalar(dice)
    return item


def _target(dice: Random, call: Call, params: Mapping[str, Any]) -> bytes:
    return f"{dice.choice(MOUNTS)}/{_quoted(call.path, safe='/')}{_query(params)}".encode()


def _query(params: Mapping[str, Any]) -> str:
    pairs = "&".join(f"{_quoted(key)}={_quoted(_as_text(value))}" for key, value in params.items())
    return f"?{pairs}" if pairs else ""


def _as_text(value: Any) -> bytes:
    if isinstance(value, str) and value not in RAW:
        return value.encode("utf-8", "surrogatepass")
    return text_of(value)


def _quoted(text: str | bytes, *, safe: str = "") -> str:
    raw = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
    return quote(raw, safe=safe)


# ---------------------------------------------------------------- what goes wrong on the way

HEADER_NAMES = (
    *(b"X-Parse-Application-Id", b"X-Parse-Master-Key", b"X-Parse-REST-API-Key", b"Authorization"),
    *(b"X-Parse-Session-Token", b"X-Parse-Installation-Id", b"X-Parse-Request-Id", b"X-Request-Id"),
    *(b"X-Parse-Cloud-Context", b"X-Parse-Client-Version", b"X-Parse-Revocable-Session"),
    *(
        b"Content-Type",
        b"Content-Encoding",
        b"Accept",
        b"Origin",
        b"Cookie",
        b"X-HTTP-Method-Override",
    ),
    *(b"Access-Control-Request-Method", b"If-None-Match", b"Range", b"X-Parse-Windows-Key"),
)
HEADER_VALUES = (
    *(b"", b"\xff\xfe", b"\xc3\xa9", b"x" * 300, b"x" * 5_000, b"a\tb", b"%00", b"null", b"0"),
    *(b"{}", b'{"a":1}', b"[]", b'"text"', b"{", b'"\\u0000"', b'"\\ud800"', b"NaN", b"Basic"),
    *(b"Basic !!!", b"Basic Og==", b"Basic /////w==", b"Basic YTpi", b"Bearer x", b"Bearer \xff"),
    *(
        b"application/json",
        b"application/json; charset=utf-16",
        b"text/plain",
        b"\x00".hex().encode(),
    ),
    *(b"application/x-www-form-urlencoded", b"multipart/form-data; boundary=x", b"gzip", b"id-2"),
)
ODD_TARGETS = (
    *(
        b"%00",
        b"%ff%fe",
        b"%2e%2e/",
        b"%2F",
        b"//",
        b"?",
        b"?&&==&",
        b"?where=%7B",
        b"?where",
        b"#x",
    ),
    *(
        b"?where=%ff",
        b"?where={}&where=1",
        b"?limit=%31%30",
        b"%",
        b"%zz",
        b"/" * 50,
        b"?" + b"a=1&" * 2_000,
    ),
    *(
        b"?_method=DELETE",
        b";x=1",
        b"?limit=1e400",
        b"?%00=1",
        b"?where=%22%5Cu0000%22",
        b"/%E2%80%AE",
    ),
)


def spoiled(dice: Random, request: Request) -> Request:
    """The request with one thing or two that no client would send."""
    for _ in range(dice.choice((1, 1, 2))):
        request = dice.choice((_other_header, _other_target, _other_octets, _other_method))(
            dice, request
        )
    return request


def _other_header(dice: Random, request: Request) -> Request:
    header = (dice.choice(HEADER_NAMES), dice.choice(HEADER_VALUES))
    return replace(request, headers=(*request.headers, header))


def _other_target(dice: Random, request: Request) -> Request:
    return replace(request, target=request.target + dice.choice(ODD_TARGETS))


def _other_method(dice: Random, request: Request) -> Request:
    return replace(request, method=dice.choice(("GET", "POST", "PUT", "DELETE", "PATCH", "HEAD")))


def _other_octets(dice: Random, request: Request) -> Request:
    """The body cut, doubled, or with octets in it that do not belong there."""
    body = request.body
    place = dice.randrange(len(body) + 1)
    junk = dice.choice(
        (
            b"",
            b"\0",
            b"\xff",
            b'"',
            b"{",
            b"}",
            b",",
            b"\\u0000",
            b"\\ud800",
            b"1e999",
            b"\xef\xbb\xbf",
        )
    )
    bodies = (
        body[:place],
        body[:place] + junk + body[place:],
        body + body,
        junk + body,
        body + junk,
    )
    return replace(request, body=dice.choice(bodies))
