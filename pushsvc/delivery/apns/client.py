"""APNs: a provider token, a pool of connections, and messages made into requests."""

import asyncio
from binascii import unhexlify
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from pushsvc.clock import Clock
from pushsvc.delivery.answers import fields_of
from pushsvc.delivery.apns import reasons
from pushsvc.delivery.apns.leaving import Leaving
from pushsvc.delivery.gateway import DRAIN_SECONDS, Message, Over, Settle, never
from pushsvc.delivery.rounds import Rules, Run, drive, send_on
from pushsvc.delivery.tokens import SharedToken, Token
from pushsvc.delivery.wire import Answered, Call, HeaderError, Pool, Template
from pushsvc.model import Answer, ApnsHead, ApnsShape, OutcomeClass
from pushsvc.storage.fields import APNS_TOKEN_DIGITS

#: A token that is not hex cannot be on any device; Apple's word for it, without asking Apple.
BAD_DEVICE_TOKEN: Final = Answer(OutcomeClass.TOKEN_SUSPECT, "BadDeviceToken")
#: Fields whose values belong to one push. They are no part of a template, so that small pushes,
#: each with an expiry of its own, share one: making a template costs as much as several messages.
OWN_FIELDS: Final = frozenset({b"apns-expiration", b"apns-collapse-id"})
#: Kinds of pushes on their way at once: topics, push types and priorities.
TEMPLATE_LIMIT: Final = 256
_64_BITS: Final = 2**64 - 1

ApnsMessage = Message[ApnsShape]


class ApnsGateway:
    """One provider key in one environment of APNs."""

    def __init__(
        self,
        open_pool: Callable[[], Pool],
        tokens: SharedToken,
        *,
        clock: Clock,
        timeout_seconds: float,
    ) -> None:
        """Make a gateway; connections are opened when there is something to send.

        Args:
            open_pool: makes the pool, and another one when the connections must be left.
            tokens: the provider token of the key.
            clock: dates what Retry-After says, and paces reconnecting.
            timeout_seconds: how long a written message waits for its answer.
        """
        self._open_pool = open_pool
        self._pool = open_pool()
        self._senders: Counter[Pool] = Counter()
        self._closing: set[asyncio.Task[None]] = set()
        self._leaving = Leaving(clock)
        self._tokens = tokens
        self._clock = clock
        self._timeout_seconds = timeout_seconds
        self._templates: dict[tuple[object, ...], Template] = {}
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
        pool = self._pool

        async def send_round(pulled: Iterator[ApnsMessage], token: Token) -> bool:
            nonlocal pool
            pool = self._pool
            self._senders[pool] += 1
            try:
                calls = self._calls(run, pulled, token)
                return await send_on(pool, calls, run, timeout_seconds=self._timeout_seconds)
            finally:
                self._senders[pool] -= 1
                self._close_if_left(pool)

        async def renew(stale: Token) -> Token:
            token = await another_token(self._tokens, stale, run)
            # Having refused a token, a connection may refuse every later one
            # (pushy, TokenAuthenticationApnsClientHandler).
            self._leave(pool)
            return token

        await drive(run, send_round, token=self._tokens.current, renew=renew)

    async def close(self) -> None:
        """Let what is in flight finish, within a bound, then close the connections."""
        pools = {self._pool, *self._senders}
        await asyncio.gather(
            *(pool.close(drain_seconds=DRAIN_SECONDS) for pool in pools), *self._closing
        )

    def _calls(
        self, run: Run[ApnsShape], pulled: Iterator[ApnsMessage], token: Token
    ) -> Iterator[Call]:
        kind: _Kind | None = None
        for index, key, device_token, shape in pulled:
            if kind is None or shape.head is not kind.head:
                kind = self._kind(shape.head, token)
            if not is_device_token(device_token):
                run.refuse(index, BAD_DEVICE_TOKEN)
            elif isinstance(kind.template, Answer):
                run.refuse(index, kind.template)
            else:
                path = b"/3/device/" + device_token.encode()
                message_id = kind.id_head + _id_tail(key)
                yield index, kind.template, path, (message_id, *kind.own), shape.body

    def _kind(self, head: ApnsHead, token: Token) -> "_Kind":
        own = tuple(field for field in head.headers if field[0] in OWN_FIELDS)
        shared = tuple(field for field in head.headers if field[0] not in OWN_FIELDS)
        varying = (b"apns-id", *(name for name, _ in own))
        return _Kind(
            head=head,
            template=self._template(shared, varying, token),
            own=tuple(value for _, value in own),
            id_head=_id_head(head.push_id),
        )

    def _template(
        self, shared: tuple[tuple[bytes, bytes], ...], varying: tuple[bytes, ...], token: Token
    ) -> Template | Answer:
        name = (token.value, shared, varying)
        template = self._templates.get(name)
        if template is None:
            if len(self._templates) >= TEMPLATE_LIMIT:
                self._templates.clear()
            authorization = (b"authorization", b"bearer " + token.value.encode())
            try:
                template = Template(shared, varying=varying, literal=(authorization,))
            except HeaderError as error:
                return Answer(OutcomeClass.REQUEST_BAD, str(error))
            self._templates[name] = template
        return template

    def _judge(self, answered: Answered) -> Answer:
        fields = fields_of(answered.headers)
        return reasons.classify(answered.status, fields, answered.body, now=self._clock.now())

    def _leave(self, pool: Pool) -> None:
        """Take new connections for what comes; who sends on the old ones finishes there."""
        if pool is self._pool and self._leaving.may_leave():
            self._pool = self._open_pool()
            self._close_if_left(pool)

    def _close_if_left(self, pool: Pool) -> None:
        if pool is self._pool or self._senders[pool]:
            return
        del self._senders[pool]
        closing = asyncio.create_task(pool.close(), name="close left connections")
        self._closing.add(closing)
        closing.add_done_callback(self._closing.discard)


async def another_token(tokens: SharedToken, stale: Token, run: Run[ApnsShape]) -> Token:
    """Return a token in place of one that was refused: the one before, if it was one too many."""
    too_many = run.refusal(reasons.TOO_MANY_TOKENS)
    return await (tokens.step_back(stale, too_many) if too_many else tokens.renew(stale))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kind:
    """What all messages of one head have in common."""

    head: ApnsHead
    #: or why no such message can be sent
    template: Template | Answer
    #: the values of the push's own fields
    own: tuple[bytes, ...]
    id_head: bytes


def apns_id(push_id: int, device_key: int) -> bytes:
    """Return the `apns-id` of a message: the push's id and the device's key, as a canonical UUID.

    It need not be stored: who knows push and device can find the message in Apple's console.
    """
    return _id_head(push_id) + _id_tail(device_key & _64_BITS)


def _id_head(push_id: int) -> bytes:
    digits = b"%016x" % (push_id & _64_BITS)
    return b"%b-%b-%b-" % (digits[:8], digits[8:12], digits[12:])


def _id_tail(device_key: int) -> bytes:
    # Groups are counted from the right: 2 bytes, a hyphen, 6 bytes.
    return device_key.to_bytes(8).hex("-", 6).encode()


def is_device_token(text: str) -> bool:
    """Tell whether this can be a token at all; if not, Apple is not asked."""
    if len(text) not in APNS_TOKEN_DIGITS:
        return False
    try:
        unhexlify(text)
    except ValueError:
        return False
    return True
