"""APNs by stock aioapns: its connections and requests, our provider token and our reasons.

It is there to be compared with, and to fall back on (setting `transport`). aioapns itself sends
again what was in doubt; here it has one try, so that doubt is told. What else would break a
promise, or leave messages waiting where Apple does nothing unusual, is amended in
`pushsvc.delivery.apns.stock_connections`. The rest is aioapns as it is: for what Apple resets or
answers without a body it waits until the message's time is up, and a reason that comes in two
pieces costs it the connection.
"""

import asyncio
import json
import ssl
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import orjson
from aioapns.client import APNs
from aioapns.common import NotificationRequest, NotificationResult
from aioapns.exceptions import MaxAttemptsExceeded
from h2.exceptions import ProtocolError

from pushsvc.clock import Clock
from pushsvc.delivery.apns import reasons
from pushsvc.delivery.apns.client import (
    BAD_DEVICE_TOKEN,
    ApnsMessage,
    another_token,
    apns_id,
    is_device_token,
)
from pushsvc.delivery.apns.leaving import Leaving
from pushsvc.delivery.apns.stock_connections import (
    StockConnections,
    TracedRequest,
    connection_to,
)
from pushsvc.delivery.credentials import ProviderKey
from pushsvc.delivery.gateway import DRAIN_SECONDS, Over, Settle, never
from pushsvc.delivery.one_by_one import OneByOne
from pushsvc.delivery.rounds import Rules, Run, drive
from pushsvc.delivery.tokens import SharedToken, Token
from pushsvc.delivery.wire import (
    Answered,
    HeaderError,
    NotProcessed,
    Origin,
    Template,
    Unknown,
    Verdict,
)
from pushsvc.model import Answer, ApnsShape, OutcomeClass

#: More would only wait: aioapns miscounts when Apple raises its limit from one stream to a
#: thousand, and has two under way on a connection from then on.
AT_ONCE_ON_A_CONNECTION: Final = 2
#: A quiet connection is kept so much longer than a message may take: its answer may still come.
SPARE_SECONDS: Final = 10.0


class StockApnsGateway:
    """One provider key in one environment of APNs, by aioapns."""

    def __init__(
        self,
        key: ProviderKey,
        p8: str,
        tokens: SharedToken,
        *,
        url: str,
        ssl_context: ssl.SSLContext,
        connections: int,
        clock: Clock,
        timeout_seconds: float,
    ) -> None:
        """Make a gateway; to be called where an event loop runs.

        Args:
            key: the provider key.
            p8: the same as text; aioapns wants it, and has no use for it.
            tokens: the provider token of the key, in place of one for each connection.
            url: of APNs.
            ssl_context: whom to trust.
            connections: at most so many.
            clock: dates what Retry-After says, and paces reconnecting.
            timeout_seconds: how long a message may take.
        """
        # The topic must be there, and is never used: each request has its own.
        named: Any = {"key": p8, "key_id": key.key_id, "team_id": key.team_id, "topic": key.team_id}
        named |= {"max_connections": connections, "max_connection_attempts": 1}
        named |= {"ssl_context": ssl_context}
        self._connections = StockConnections(**named)
        self._connections.protocol_class = connection_to(
            Origin.from_url(url), quiet_seconds=timeout_seconds + SPARE_SECONDS
        )
        self._apns = APNs(**named, err_func=_say_nothing)
        self._apns.pool = self._connections
        self._tokens = tokens
        self._clock = clock
        self._timeout_seconds = timeout_seconds
        self._leaving = Leaving(clock)
        self._messages = OneByOne(self._deliver, at_once=AT_ONCE_ON_A_CONNECTION * connections)
        self._rules: Rules[ApnsShape] = Rules(
            judge=self._judge,
            renewable=reasons.RENEWABLE,
            scope=lambda answer, shape: reasons.scope(answer, shape.head.topic),
        )

    async def send(
        self, messages: Iterator[ApnsMessage], settle: Settle, over: Over = never
    ) -> None:
        """Send all, pulling messages only as fast as APNs takes them; see Gateway.send."""
        run = Run(messages, settle, self._rules, over=over)

        async def send_round(pulled: Iterator[ApnsMessage], token: Token) -> bool:
            self._connections.use(token)
            return await self._messages.send(run, pulled, token)

        async def renew(stale: Token) -> Token:
            token = await another_token(self._tokens, stale, run)
            # Having refused a token, a connection may refuse every later one.
            if self._leaving.may_leave():
                self._connections.leave()
            return token

        await drive(run, send_round, token=self._tokens.current, renew=renew)

    async def close(self) -> None:
        """Let what is in flight finish, within a bound, then close the connections."""
        await self._messages.drain(DRAIN_SECONDS)
        await self._connections.close_all(DRAIN_SECONDS)

    async def _deliver(self, message: ApnsMessage, _token: Token) -> Verdict | Answer:
        request = _request(message)
        if isinstance(request, Answer):
            return request
        try:
            async with asyncio.timeout(self._timeout_seconds):
                return _answered(await self._apns.send_notification(request))
        except (TimeoutError, MaxAttemptsExceeded, ProtocolError) as error:
            why = type(error).__name__
            return Unknown(why) if request.written else NotProcessed(why)

    def _judge(self, answered: Answered) -> Answer:
        return reasons.classify(answered.status, {}, answered.body, now=self._clock.now())


class _At(int):
    """An expiry as a time to live: added to the present moment, it is itself.

    aioapns counts from when it sends, which may be seconds after we have reckoned.
    """

    def __radd__(self, _now: int) -> int:
        return int(self)


class _PushType(NamedTuple):
    """Any of Apple's push types; aioapns names only some of them."""

    value: str


def _request(message: ApnsMessage) -> TracedRequest | Answer:
    _index, key, device_token, shape = message
    if not is_device_token(device_token):
        return BAD_DEVICE_TOKEN
    try:
        Template(shape.head.headers)
    except HeaderError as error:
        return Answer(OutcomeClass.REQUEST_BAD, str(error))
    fields = {name: value.decode() for name, value in shape.head.headers}
    expiration, push_type = fields.get(b"apns-expiration"), fields.get(b"apns-push-type")
    named: Any = {
        "time_to_live": None if expiration is None else _At(expiration),
        "priority": fields.get(b"apns-priority"),
        "collapse_key": fields.get(b"apns-collapse-id"),
        "push_type": None if push_type is None else _PushType(push_type),
    }
    return TracedRequest(
        device_token,
        orjson.loads(shape.body),
        notification_id=apns_id(shape.head.push_id, key).decode(),
        **named,
        apns_topic=shape.head.topic,
    )


def _answered(result: NotificationResult) -> Answered:
    body = json.dumps({"reason": result.description, "timestamp": result.timestamp}).encode()
    return Answered(int(result.status) if result.status.isdecimal() else 0, (), body)


async def _say_nothing(_request: NotificationRequest, _result: NotificationResult) -> None:
    """Refusals are counted; aioapns would log each as an error."""
