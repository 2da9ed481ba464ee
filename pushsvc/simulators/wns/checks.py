"""What WNS checks of every request, in order: each check names a status and a sentence, or None.

https://learn.microsoft.com/windows/apps/develop/notifications/push-notifications/push-request-response-headers
"""

import re
from collections.abc import Callable, Mapping
from urllib.parse import parse_qs

from pushsvc.simulators.exchange import Exchange

Refusal = tuple[int, str]

CONTENT_TYPE = {
    b"wns/toast": b"text/xml",
    b"wns/tile": b"text/xml",
    b"wns/badge": b"text/xml",
    b"wns/raw": b"application/octet-stream",
}
CACHED_BY_DEFAULT = {b"wns/tile", b"wns/badge"}
CACHE_POLICIES = {b"cache", b"no-cache"}
PRIORITIES = {b"1", b"2", b"3", b"4"}
TAG = re.compile(rb"[A-Za-z0-9]{1,16}")
SECONDS = re.compile(rb"[0-9]{1,10}")
PHONE_ONLY = (b"x-wns-group", b"x-wns-suppresspopup")
#: Channels of Windows Phone: WNS knows them by itself, we by how their token begins.
PHONE = "phone-"
HOST = "notify.windows.com"
MAX_PAYLOAD_BYTES = 5000


def channel_token(exchange: Exchange) -> str:
    """The token in the channel URI; empty where there is none."""
    query = exchange.path.decode("latin-1").partition("?")[2]
    return parse_qs(query).get("token", [""])[0]


def channel_host(exchange: Exchange) -> str:
    """The host the sender meant, without a port, in lower case."""
    return exchange.fields.get(b"host", b"").decode("latin-1").partition(":")[0].lower()


def method(exchange: Exchange) -> Refusal | None:
    """POST."""
    return None if exchange.method == b"POST" else (405, "Method not allowed")


def framing(exchange: Exchange) -> Refusal | None:
    """HTTP/1.1 with Content-Length; chunked encoding is not supported."""
    fields = exchange.fields
    if fields[b":version"] != b"HTTP/1.1":
        return 400, "HTTP/1.1 is required"
    if b"transfer-encoding" in fields:
        return 400, "Chunked transfer encoding is not supported"
    return None if b"content-length" in fields else (411, "Content-Length is required")


def channel(exchange: Exchange) -> Refusal | None:
    """A channel URI: our host, and a token in the query."""
    host = channel_host(exchange)
    if host != HOST and not host.endswith("." + HOST):
        return 404, "The host hosts no channels"
    return None if channel_token(exchange) else (404, "The channel URI is not valid")


def notification_type(exchange: Exchange) -> Refusal | None:
    """X-WNS-Type is known and agrees with Content-Type."""
    expected = CONTENT_TYPE.get(exchange.fields.get(b"x-wns-type", b""))
    if expected is None:
        return 400, "X-WNS-Type is missing or unknown"
    given = exchange.fields.get(b"content-type", b"").split(b";")[0].strip()
    return None if given == expected else (400, "Content-Type does not agree with X-WNS-Type")


def caching(exchange: Exchange) -> Refusal | None:
    """Cache policy and TTL are well-formed; a TTL of 0 cannot be cached."""
    fields = exchange.fields
    policy = fields.get(b"x-wns-cache-policy")
    if policy not in CACHE_POLICIES and policy is not None:
        return 400, "X-WNS-Cache-Policy must be cache or no-cache"
    ttl = fields.get(b"x-wns-ttl")
    if ttl is None:
        return None
    if not SECONDS.fullmatch(ttl):
        return 400, "X-WNS-TTL must be seconds"
    default = b"cache" if fields[b"x-wns-type"] in CACHED_BY_DEFAULT else b"no-cache"
    cached = (policy or default) == b"cache"
    return (400, "X-WNS-TTL 0 cannot be cached") if cached and int(ttl) == 0 else None


def options(exchange: Exchange) -> Refusal | None:
    """Tag, priority and status request are well-formed; what is for phones goes to a phone."""
    fields = exchange.fields
    if not TAG.fullmatch(fields.get(b"x-wns-tag", b"none")):
        return 400, "X-WNS-Tag must be 1 to 16 letters and digits"
    if fields.get(b"x-wns-priority", b"1") not in PRIORITIES:
        return 400, "X-WNS-PRIORITY must be 1 to 4"
    if fields.get(b"x-wns-requestforstatus", b"true") not in {b"true", b"false"}:
        return 400, "X-WNS-RequestForStatus must be true or false"
    phone = [name.decode() for name in PHONE_ONLY if name in fields]
    if phone and not channel_token(exchange).startswith(PHONE):
        return 400, f"{phone[0]} is for Windows Phone only"
    return None


def phone_options(exchange: Exchange) -> Refusal | None:
    """Group and popup are well-formed, and said of a toast."""
    fields = exchange.fields
    if not TAG.fullmatch(fields.get(b"x-wns-group", b"none")):
        return 400, "X-WNS-Group must be 1 to 16 letters and digits"
    if fields.get(b"x-wns-suppresspopup", b"true") not in {b"true", b"false"}:
        return 400, "X-WNS-SuppressPopup must be true or false"
    phone = [name.decode() for name in PHONE_ONLY if name in fields]
    is_toast = fields[b"x-wns-type"] == b"wns/toast"
    return None if is_toast or not phone else (400, f"{phone[0]} is for toasts only")


def payload(exchange: Exchange) -> Refusal | None:
    """1 to 5000 bytes."""
    if exchange.size == 0:
        return 400, "The payload is empty"
    return (413, "The payload exceeds 5000 bytes") if exchange.size > MAX_PAYLOAD_BYTES else None


Check = Callable[[Exchange], Refusal | None]
BEFORE_CREDENTIAL: tuple[Check, ...] = (method, framing, channel)
AFTER_CREDENTIAL: tuple[Check, ...] = (
    notification_type,
    caching,
    options,
    phone_options,
    payload,
)


def first_refusal(checks: tuple[Check, ...], exchange: Exchange) -> Refusal | None:
    """What the first check that fails says."""
    for check in checks:
        refusal = check(exchange)
        if refusal:
            return refusal
    return None


#: Fields that the ledger keeps, by the name they have there.
NOTED: Mapping[str, bytes] = {
    "push_type": b"x-wns-type",
    "priority": b"x-wns-priority",
    "expiration": b"x-wns-ttl",
    "collapse_id": b"x-wns-tag",
}
