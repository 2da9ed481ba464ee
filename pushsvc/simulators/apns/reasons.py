"""Apple's reasons and their statuses, and answers made of them.

https://developer.apple.com/documentation/usernotifications/handling-notification-responses-from-apns
"""

from typing import Any

import orjson

from pushsvc.simulators.exchange import Answer, Exchange

STATUS = {
    "BadCollapseId": 400,
    "BadDeviceToken": 400,
    "BadExpirationDate": 400,
    "BadMessageId": 400,
    "BadPriority": 400,
    "BadTopic": 400,
    "DeviceTokenNotForTopic": 400,
    "DuplicateHeaders": 400,
    "IdleTimeout": 400,
    "InvalidPushType": 400,
    "MissingDeviceToken": 400,
    "MissingTopic": 400,
    "PayloadEmpty": 400,
    "TopicDisallowed": 400,
    "BadCertificate": 403,
    "BadCertificateEnvironment": 403,
    "BadEnvironmentKeyIdInToken": 403,
    "ExpiredProviderToken": 403,
    "Forbidden": 403,
    "InvalidProviderToken": 403,
    "MissingProviderToken": 403,
    "UnrelatedKeyIdInToken": 403,
    "BadPath": 404,
    "MethodNotAllowed": 405,
    "ExpiredToken": 410,
    "Unregistered": 410,
    "PayloadTooLarge": 413,
    "TooManyProviderTokenUpdates": 429,
    "TooManyRequests": 429,
    "InternalServerError": 500,
    "ServiceUnavailable": 503,
    "Shutdown": 503,
}


def refusal(exchange: Exchange, reason: str, **more: Any) -> Answer:
    """The answer with this reason, its `apns-id`, and further members of the body."""
    body = orjson.dumps({"reason": reason, **more})
    return Answer(STATUS[reason], reason, id_field(exchange), body)


def id_field(exchange: Exchange) -> tuple[tuple[bytes, bytes], ...]:
    """The `apns-id` that every answer carries."""
    return ((b"apns-id", exchange.entry.message_id.encode()),)
