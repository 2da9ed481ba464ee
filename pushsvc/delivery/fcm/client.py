"""FCM v1: an access token, a pool of connections, and messages made into requests."""

from collections.abc import Iterator
from typing import Final

import orjson

from pushsvc.clock import Clock
from pushsvc.delivery.answers import fields_of
from pushsvc.delivery.fcm import reasons
from pushsvc.delivery.gateway import DRAIN_SECONDS, Message, Over, Settle, never
from pushsvc.delivery.rounds import Rules, Run, drive, send_on
from pushsvc.delivery.tokens import SharedToken, Token
from pushsvc.delivery.wire import Answered, Call, Pool, Template
from pushsvc.model import Answer, FcmShape, OutcomeClass

#: A token that is no text FCM could have issued; never sent, and not evidence enough to retire it.
UNWRITABLE_TOKEN: Final = Answer(OutcomeClass.TOKEN_SUSPECT, reasons.MALFORMED_TARGET)

FcmMessage = Message[FcmShape]


class FcmGateway:
    """One Firebase project."""

    def __init__(
        self,
        project_id: str,
        pool: Pool,
        tokens: SharedToken,
        *,
        clock: Clock,
        timeout_seconds: float,
    ) -> None:
        """Make a gateway; connections are opened when there is something to send.

        Args:
            project_id: whose tokens the messages go to; checked with the service account.
            pool: the connections to FCM; closed with the gateway.
            tokens: the access token of the service account.
            clock: dates what Retry-After says.
            timeout_seconds: how long a written message waits for its answer.
        """
        self._path = f"/v1/projects/{project_id}/messages:send".encode()
        self._pool = pool
        self._tokens = tokens
        self._clock = clock
        self._timeout_seconds = timeout_seconds
        self._template: tuple[str, Template] | None = None
        self._rules: Rules[FcmShape] = Rules(
            judge=self._judge,
            renewable=reasons.RENEWABLE,
            scope=lambda answer, _shape: reasons.scope(answer),
        )

    async def send(
        self, messages: Iterator[FcmMessage], settle: Settle, over: Over = never
    ) -> None:
        """Send all, pulling messages only as fast as FCM takes them; see Gateway.send."""
        run = Run(messages, settle, self._rules, over=over)

        async def send_round(pulled: Iterator[FcmMessage], token: Token) -> bool:
            calls = self._calls(run, pulled, token)
            return await send_on(self._pool, calls, run, timeout_seconds=self._timeout_seconds)

        await drive(run, send_round, token=self._tokens.current, renew=self._tokens.renew)

    async def close(self) -> None:
        """Let what is in flight finish, within a bound, then close the connections."""
        await self._pool.close(drain_seconds=DRAIN_SECONDS)

    def _calls(
        self, run: Run[FcmShape], pulled: Iterator[FcmMessage], token: Token
    ) -> Iterator[Call]:
        template, path, dumps = self._template_with(token), self._path, orjson.dumps
        for index, _key, device_token, shape in pulled:
            try:
                body = shape.head + dumps(device_token) + shape.tail
            except orjson.JSONEncodeError:
                run.refuse(index, UNWRITABLE_TOKEN)
                continue
            yield index, template, path, (), body

    def _template_with(self, token: Token) -> Template:
        if self._template is None or self._template[0] != token.value:
            template = Template(
                ((b"content-type", b"application/json"),),
                literal=((b"authorization", b"Bearer " + token.value.encode()),),
            )
            self._template = (token.value, template)
        return self._template[1]

    def _judge(self, answered: Answered) -> Answer:
        fields = fields_of(answered.headers)
        return reasons.classify(answered.status, fields, answered.body, now=self._clock.now())
