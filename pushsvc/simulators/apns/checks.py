"""What APNs checks of every request, in its order: each check names a reason or None.

https://developer.apple.com/documentation/usernotifications/sending-notification-requests-to-apns
"""

import re
from collections.abc import Callable
from functools import lru_cache

from pushsvc.simulators.apns.provider_tokens import ProviderToken, ProviderTokens
from pushsvc.simulators.exchange import Exchange
from pushsvc.simulators.knobs import Knobs
from pushsvc.simulators.registry import Registry

UUID = re.compile(rb"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
TOPIC = re.compile(rb"[A-Za-z0-9][A-Za-z0-9.-]{0,254}")
EPOCH_SECONDS = re.compile(rb"[0-9]{1,12}")
#: 1 to 100 bytes; Apple: "don't make assumptions about the length".
DEVICE_TOKEN = re.compile(rb"([0-9a-fA-F]{2}){1,100}")
DEVICE_PATH = b"/3/device/"
MAX_COLLAPSE_ID_BYTES = 64
PRIORITIES = {b"1", b"5", b"10"}
MAX_PAYLOAD_BYTES = 4096
MAX_VOIP_PAYLOAD_BYTES = 5120
#: Topics whose bundle id is remembered.
MAX_TOPICS = 1024

#: What the topic adds to the bundle id, by push type.
SUFFIX = {
    b"alert": b"",
    b"background": b"",
    b"mdm": b"",
    b"voip": b".voip",
    b"complication": b".complication",
    b"fileprovider": b".pushkit.fileprovider",
    b"location": b".location-query",
    b"liveactivity": b".push-type.liveactivity",
    b"pushtotalk": b".voip-ptt",
    b"widgets": b".push-type.widgets",
    b"controls": b".push-type.controls",
}

SUFFIXES = tuple(suffix for suffix in SUFFIX.values() if suffix)


class Checks:
    """The checks, with what they look up."""

    def __init__(
        self, *, knobs: Knobs, registry: Registry, tokens: ProviderTokens, now: Callable[[], float]
    ) -> None:
        self._knobs = knobs
        self._registry = registry
        self._tokens = tokens
        self._now = now
        # The order is that of pushy's ValidatingPushNotificationHandler.
        self._in_order: tuple[Callable[[Exchange], str | None], ...] = (
            message_id,
            method,
            self.topic,
            collapse_id,
            priority,
            push_type,
            expiration,
            duplicate_fields,
            path,
            device_token,
            self.provider_token,
            payload,
        )

    def reason(self, exchange: Exchange) -> str | None:
        """The reason of the first check that fails."""
        for check in self._in_order:
            reason = check(exchange)
            if reason:
                return reason
        return None

    def topic(self, exchange: Exchange) -> str | None:
        """Present, well-formed, and of an app somebody here may send to."""
        topic = exchange.fields.get(b"apns-topic")
        if not topic:
            return "MissingTopic"
        if not TOPIC.fullmatch(topic):
            return "BadTopic"
        bundle = bundle_of(topic)
        known = any(key.allows(bundle) for key in self._registry.apns.values())
        return None if known else "TopicDisallowed"

    def provider_token(self, exchange: Exchange) -> str | None:
        """Signed by a registered key, in time, not minted too often, of the connection's team."""
        authorization = exchange.fields.get(b"authorization")
        if not authorization:
            return "MissingProviderToken"
        token = self._tokens.verify(authorization)
        if token is None:
            return "InvalidProviderToken"
        reason = self._key_fits(exchange, token)
        if reason:
            return reason
        now = self._now()
        if not self._tokens.in_time(token, now):
            return "ExpiredProviderToken"
        if self._tokens.too_many(token, now):
            return "TooManyProviderTokenUpdates"
        exchange.session.team = token.key.team_id
        exchange.grant_streams()
        return None

    def _key_fits(self, exchange: Exchange, token: ProviderToken) -> str | None:
        key = token.key
        if exchange.session.team not in (None, key.team_id):
            return "InvalidProviderToken"
        environment = "sandbox" if self._knobs.apns_sandbox else "production"
        if key.environment not in (None, environment):
            return "BadEnvironmentKeyIdInToken"
        if not key.allows(bundle_of(exchange.fields[b"apns-topic"])):
            return "TopicDisallowed"
        return None


@lru_cache(maxsize=MAX_TOPICS)
def bundle_of(topic: bytes) -> str:
    """The bundle id of a topic: without the suffix of its push type."""
    for suffix in SUFFIXES:
        if topic.endswith(suffix):
            return topic.removesuffix(suffix).decode()
    return topic.decode()


def message_id(exchange: Exchange) -> str | None:
    """A canonical lower-case UUID, if given."""
    given = exchange.fields.get(b"apns-id")
    return None if given is None or UUID.fullmatch(given) else "BadMessageId"


def method(exchange: Exchange) -> str | None:
    """POST."""
    return None if exchange.method == b"POST" else "MethodNotAllowed"


def collapse_id(exchange: Exchange) -> str | None:
    """At most 64 bytes."""
    long = len(exchange.fields.get(b"apns-collapse-id", b"")) > MAX_COLLAPSE_ID_BYTES
    return "BadCollapseId" if long else None


def priority(exchange: Exchange) -> str | None:
    """1, 5 or 10 (the default); "for background notifications, using 10 is an error"."""
    given = exchange.fields.get(b"apns-priority", b"10")
    background = exchange.fields.get(b"apns-push-type") == b"background"
    return "BadPriority" if given not in PRIORITIES or (background and given == b"10") else None


def push_type(exchange: Exchange) -> str | None:
    """Known, and the topic ends as this type wants it."""
    given = exchange.fields.get(b"apns-push-type", b"")
    suffix = SUFFIX.get(given)
    if suffix is None:
        return "InvalidPushType"
    topic = exchange.fields[b"apns-topic"]
    fits = topic.endswith(suffix) if suffix else not topic.endswith(SUFFIXES)
    return None if fits else "BadTopic"


def expiration(exchange: Exchange) -> str | None:
    """Epoch seconds, if given."""
    given = exchange.fields.get(b"apns-expiration")
    return None if given is None or EPOCH_SECONDS.fullmatch(given) else "BadExpirationDate"


def duplicate_fields(exchange: Exchange) -> str | None:
    """No field twice."""
    return "DuplicateHeaders" if exchange.repeated_fields else None


def path(exchange: Exchange) -> str | None:
    """`/3/device/<token>`."""
    if not exchange.path.startswith(DEVICE_PATH):
        return "BadPath"
    return None if len(exchange.path) > len(DEVICE_PATH) else "MissingDeviceToken"


def device_token(exchange: Exchange) -> str | None:
    """Whole bytes in hex."""
    token = exchange.path.removeprefix(DEVICE_PATH)
    return None if DEVICE_TOKEN.fullmatch(token) else "BadDeviceToken"


def payload(exchange: Exchange) -> str | None:
    """Not empty, and not above the limit of its push type."""
    if exchange.size == 0:
        return "PayloadEmpty"
    voip = exchange.fields.get(b"apns-push-type") == b"voip"
    limit = MAX_VOIP_PAYLOAD_BYTES if voip else MAX_PAYLOAD_BYTES
    return "PayloadTooLarge" if exchange.size > limit else None
