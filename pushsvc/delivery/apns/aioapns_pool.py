"""aioapns at the seam: its `APNs` object sends over our wire when a `WirePool` is its `pool`.

`APNs` asks nothing of its pool but `send_notification`, so requests, results and `err_func` stay
aioapns' own. What came of a notification is told in one of three ways:

- A result with the status Apple answered. `description` is Apple's reason, or `http_503` and the
  like where Apple gave none; `timestamp` is that of a 410. So `is_successful` and a comparison with
  "BadDeviceToken" mean what they always did.
- A result with status "0" (`UNKNOWN_STATUS`): it was written in full and never answered, so it may
  have arrived. No answer of Apple's has that status, and `description` begins with "Unknown".
  aioapns sends such a one again, up to five times, or waits for ever; here the caller decides.
- `MaxAttemptsExceeded`, which aioapns' own pool raises too: no connection could be had, or Apple
  refused the stream each time. It was surely not processed and may be sent again.

A header field that must not be sent (a line break in a collapse id) is a ValueError.
"""

import asyncio
import json
from collections.abc import Callable, Sequence
from typing import Final

from aioapns.common import NotificationRequest, NotificationResult
from aioapns.connection import APNsBaseConnectionPool
from aioapns.exceptions import MaxAttemptsExceeded

from pushsvc.clock import Clock
from pushsvc.delivery import answers
from pushsvc.delivery.apns import reasons
from pushsvc.delivery.apns.client import (
    BAD_DEVICE_TOKEN,
    TEMPLATE_LIMIT,
    is_device_token,
)
from pushsvc.delivery.apns.leaving import Leaving
from pushsvc.delivery.gateway import DRAIN_SECONDS
from pushsvc.delivery.rounds import ROUNDS
from pushsvc.delivery.tokens import SharedToken, Token
from pushsvc.delivery.wire import Answered, Malformed, NotProcessed, Pool, Template, Verdict

#: The status of a notification that may have arrived.
UNKNOWN_STATUS: Final = "0"

_Field = tuple[bytes, bytes]


class WirePool(APNsBaseConnectionPool):
    """A pool for `aioapns.APNs`: our connections, and one provider token for all of them."""

    def __init__(
        self,
        open_pool: Callable[[], Pool],
        tokens: SharedToken,
        *,
        clock: Clock,
        timeout_seconds: float,
        topic: str | None = None,
    ) -> None:
        """Make a pool; to be called where an event loop runs.

        Args:
            open_pool: makes the connections, and others when those must be left.
            tokens: the provider token of the key.
            clock: what a time to live is counted from, and what paces reconnecting.
            timeout_seconds: how long a written notification waits for its answer.
            topic: of the requests that name none.
        """
        super().__init__(topic=topic)
        self._open_pool = open_pool
        self._pool = open_pool()
        self._tokens = tokens
        self._clock = clock
        self._timeout_seconds = timeout_seconds
        self._leaving = Leaving(clock)
        self._closed = False
        self._closing: set[asyncio.Task[None]] = set()
        self._templates: dict[tuple[str, tuple[bytes, ...]], Template] = {}

    async def send_notification(self, request: NotificationRequest) -> NotificationResult:
        """Send one; see the module for how its end is told.

        Raises:
            MaxAttemptsExceeded: it was surely not processed.
            ValueError: one of its header fields must not be sent.
        """
        body = json.dumps(request.message, ensure_ascii=False).encode()
        if not is_device_token(request.device_token):
            return NotificationResult(request.notification_id, "400", BAD_DEVICE_TOKEN.reason)
        fields = self._fields(request)
        path = b"/3/device/" + request.device_token.encode()
        token = await self._tokens.current()
        pool, verdict = await self._send(path, fields, body, token=token)
        if isinstance(verdict, Answered) and _reason(verdict) in reasons.RENEWABLE:
            token = await self._another_token(token, verdict)
            # Having refused a token, a connection may refuse every later one.
            self._leave(pool)
            _, verdict = await self._send(path, fields, body, token=token)
        return _result(request.notification_id, verdict)

    def close(self) -> None:
        """Take no more, and let what is in flight finish, within a bound; see `wait_closed`."""
        if not self._closed:
            self._closed = True
            self._close_later(self._pool, drain_seconds=DRAIN_SECONDS)

    async def wait_closed(self) -> None:
        """Return when all connections are closed."""
        await asyncio.gather(*self._closing)

    def _fields(self, request: NotificationRequest) -> Sequence[_Field]:
        """Return the header fields aioapns would send, but for the token."""
        ttl, push_type = request.time_to_live, request.push_type
        expiration = None if ttl is None else int(self._clock.now().timestamp()) + ttl
        values = {
            b"apns-id": request.notification_id,
            b"apns-topic": request.apns_topic or self.apns_topic,
            b"apns-expiration": expiration,
            b"apns-priority": request.priority,
            b"apns-collapse-id": request.collapse_key,
            b"apns-push-type": None if push_type is None else push_type.value,
        }
        return [(name, str(value).encode()) for name, value in values.items() if value is not None]

    async def _send(
        self, path: bytes, fields: Sequence[_Field], body: bytes, *, token: Token
    ) -> tuple[Pool, Verdict]:
        """Send until there is a verdict other than "not processed", a few times at most."""
        template = self._template(tuple(name for name, _ in fields), token)
        call = (0, template, path, tuple(value for _, value in fields), body)
        attempts = 0
        while True:
            attempts += 1
            pool = self._pool
            failures = pool.stats.connect_failures
            verdicts: dict[int, Verdict] = {}
            await pool.send_many(
                [call], verdicts.__setitem__, timeout_seconds=self._timeout_seconds
            )
            verdict = verdicts[0]
            unreachable = pool.stats.connect_failures > failures
            if attempts == ROUNDS or unreachable or not _may_go_again(verdict):
                return pool, verdict

    async def _another_token(self, refused: Token, answered: Answered) -> Token:
        if _reason(answered) != reasons.TOO_MANY_TOKENS:
            return await self._tokens.renew(refused)
        answer = reasons.classify(answered.status, {}, answered.body, now=self._clock.now())
        return await self._tokens.step_back(refused, answer)

    def _template(self, names: tuple[bytes, ...], token: Token) -> Template:
        """Return what all requests with these fields have in common."""
        template = self._templates.get((token.value, names))
        if template is None:
            if len(self._templates) >= TEMPLATE_LIMIT:
                self._templates.clear()
            authorization = (b"authorization", b"bearer " + token.value.encode())
            template = Template((), varying=names, literal=(authorization,))
            self._templates[token.value, names] = template
        return template

    def _leave(self, pool: Pool) -> None:
        """Take new connections for what comes; what is in flight on the old ones finishes there."""
        if pool is self._pool and not self._closed and self._leaving.may_leave():
            self._pool = self._open_pool()
            self._close_later(pool, drain_seconds=self._timeout_seconds)

    def _close_later(self, pool: Pool, *, drain_seconds: float) -> None:
        closing = asyncio.get_running_loop().create_task(
            pool.close(drain_seconds=drain_seconds), name="close connections of aioapns"
        )
        self._closing.add(closing)
        closing.add_done_callback(self._closing.discard)


def _may_go_again(verdict: Verdict) -> bool:
    return isinstance(verdict, NotProcessed) and not isinstance(verdict, Malformed)


def _reason(answered: Answered) -> str:
    content = answers.json_object(answered.body)
    return answers.word(content.get("reason")) or answers.http_reason(answered.status)


def _result(notification_id: str, verdict: Verdict) -> NotificationResult:
    if isinstance(verdict, Malformed):
        raise ValueError(verdict.why)  # noqa: TRY004 - a value, as aioapns has it
    if isinstance(verdict, NotProcessed):
        raise MaxAttemptsExceeded(verdict.why)
    if not isinstance(verdict, Answered):
        return NotificationResult(notification_id, UNKNOWN_STATUS, f"Unknown: {verdict.why}")
    if verdict.status == 200:  # noqa: PLR2004 - the one status of success
        return NotificationResult(notification_id, "200")
    timestamp = answers.json_object(verdict.body).get("timestamp")
    return NotificationResult(
        notification_id, str(verdict.status), _reason(verdict), timestamp=timestamp
    )
