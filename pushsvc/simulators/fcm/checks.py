"""What FCM checks of a message beyond its schema, in order.

https://firebase.google.com/docs/cloud-messaging/error-codes
"""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import orjson

from pushsvc.simulators.exchange import Answer
from pushsvc.simulators.fcm.problems import bad_request, fcm_error, invalid, problem
from pushsvc.simulators.fcm.schema import read_request

Message = Mapping[str, Any]

TARGETS = ("token", "topic", "condition", "fid")
#: `~` never occurs in real tokens: it carries our fault markers.
MAX_TOKEN_LENGTH = 4096
TOKEN = re.compile(rf"[A-Za-z0-9_:~.-]{{1,{MAX_TOKEN_LENGTH}}}")
TOPIC = re.compile(r"[a-zA-Z0-9-_.~%]{1,900}")
RESERVED_KEYS = {"from", "message_type"}
RESERVED_PREFIXES = ("google", "gcm")
#: Four weeks.
MAX_TTL_SECONDS = 2_419_200
MAX_PAYLOAD_BYTES = 4096
MAX_TOPIC_PAYLOAD_BYTES = 2048


def read_body(body: bytes) -> tuple[dict[str, Any], Answer | None]:
    """The request in snake_case, and the rejection if it breaks the schema."""
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        message = "Invalid JSON payload received. Unexpected token."
        return {}, problem(400, "INVALID_ARGUMENT", message)
    request, violations = read_request(document)
    if not violations:
        return request, None
    message = "\n".join(description for _, description in violations)
    return request, problem(400, "INVALID_ARGUMENT", message, details=[bad_request(violations)])


def check_message(message: Message) -> Answer | None:
    """The rejection of the first check that fails."""
    for check in CHECKS:
        rejection = check(message)
        if rejection:
            return rejection
    return None


def one_target(message: Message) -> Answer | None:
    """Exactly one of token, topic, condition, fid."""
    given = [name for name in TARGETS if name in message]
    if not given:
        return invalid("message", "Recipient of the message is not set.")
    if len(given) > 1:
        sentence = f"oneof field 'target' is already set. Cannot set '{given[1]}'"
        return problem(
            400,
            "INVALID_ARGUMENT",
            f"Invalid value at 'message' (oneof), {sentence}",
            details=[bad_request([("message", sentence)])],
        )
    return None


def target_form(message: Message) -> Answer | None:
    """A token or topic that can exist."""
    if not TOKEN.fullmatch(message.get("token", "-")):
        sentence = "The registration token is not a valid FCM registration token"
        return invalid("message.token", sentence)
    if not TOPIC.fullmatch(message.get("topic", "-").removeprefix("/topics/")):
        return invalid("message.topic", "Invalid topic name")
    return None


def data_keys(message: Message) -> Answer | None:
    """No key that FCM keeps for itself."""
    for where in ("message.data", "message.android.data", "message.webpush.data"):
        for key in _find(message, where):
            if key in RESERVED_KEYS or key.startswith(RESERVED_PREFIXES):
                return invalid(where, f"Invalid data payload key: {key}")
    return None


def ttl(message: Message) -> Answer | None:
    """0 to four weeks."""
    seconds = float(message.get("android", {}).get("ttl", "0s").removesuffix("s"))
    if 0 <= seconds <= MAX_TTL_SECONDS:
        return None
    return invalid("message.android.ttl", f"Invalid ttl: must be 0 to {MAX_TTL_SECONDS} seconds")


def link(message: Message) -> Answer | None:
    """Where a click in a browser leads: https only."""
    target = message.get("webpush", {}).get("fcm_options", {}).get("link", "https://")
    if target.startswith("https://"):
        return None
    return invalid("message.webpush.fcm_options.link", "Invalid link: must be an HTTPS URL")


def size(message: Message) -> Answer | None:
    """Google does not publish how it counts; keys and values of the content are counted here."""
    limit = MAX_PAYLOAD_BYTES if "topic" not in message else MAX_TOPIC_PAYLOAD_BYTES
    if content_bytes(message) <= limit:
        return None
    sentence = "Message too big"
    return problem(400, "INVALID_ARGUMENT", sentence, details=[fcm_error("INVALID_ARGUMENT")])


CHECKS: tuple[Callable[[Message], Answer | None], ...] = (
    one_target,
    target_form,
    data_keys,
    ttl,
    link,
    size,
)


def content_bytes(message: Message) -> int:
    """Bytes of keys and values, as Android, Apple or a browser gets them, whichever is largest."""
    shared = _text_bytes(message.get("notification"))
    apns = message.get("apns", {}).get("payload")
    to_apple = len(orjson.dumps(apns)) if apns else 0
    return max(to_apple, *(shared + _shown_bytes(message, name) for name in ("android", "webpush")))


def _shown_bytes(message: Message, platform: str) -> int:
    part = message.get(platform, {})
    data = part.get("data") or message.get("data", {})
    return _text_bytes(data) + _text_bytes(part.get("notification"))


def _text_bytes(part: Any) -> int:
    return sum(len(text.encode()) for text in _texts(part))


def _texts(part: Any) -> Iterator[str]:
    if isinstance(part, str):
        yield part
    elif isinstance(part, dict):
        for key, value in part.items():
            yield key
            yield from _texts(value)
    elif isinstance(part, list):
        for item in part:
            yield from _texts(item)


def _find(message: Message, where: str) -> Mapping[str, str]:
    part: Any = {"message": message}
    for name in where.split("."):
        part = part.get(name, {})
    found: Mapping[str, str] = part
    return found
