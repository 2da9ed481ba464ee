"""HTTP/2 for small multiplexed POSTs: every request ends in one honest verdict."""

from pushsvc.delivery.wire.errors import HeaderError
from pushsvc.delivery.wire.events import Answered, Malformed, NotProcessed, Unknown, Verdict
from pushsvc.delivery.wire.headers import Call, Template
from pushsvc.delivery.wire.limits import Limits
from pushsvc.delivery.wire.origin import Origin
from pushsvc.delivery.wire.pool import Pool
from pushsvc.delivery.wire.proxy import Proxy
from pushsvc.delivery.wire.stats import Health, Stats
from pushsvc.delivery.wire.tls import client_context

__all__ = [
    "Answered",
    "Call",
    "HeaderError",
    "Health",
    "Limits",
    "Malformed",
    "NotProcessed",
    "Origin",
    "Pool",
    "Proxy",
    "Stats",
    "Template",
    "Unknown",
    "Verdict",
    "client_context",
]
