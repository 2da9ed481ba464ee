"""One send(): rounds over the wire until every message has its answer.

A round hands messages to the wire and hears a verdict on each. What was surely not processed
goes again in the next round, three times at most. What a stale token was refused for goes once
more with another token. When one refusal of the sender follows another, of its credential or of
its pace, the rest is not sent at all: a gateway that is asked ten thousand times with a bad key
closes its door, and one that is over its quota wants to be left alone.
"""

from collections import deque
from collections.abc import Awaitable, Callable, Generator, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import chain
from typing import Final, Generic, TypeVar

from pushsvc.delivery.answers import wire_reason
from pushsvc.delivery.gateway import Message, Over, Settle, never
from pushsvc.delivery.tokens import Token, TokenError
from pushsvc.delivery.wire import Answered, Call, Malformed, NotProcessed, Pool, Verdict
from pushsvc.model import ACCEPTED, Answer, Deferral, OutcomeClass

ShapeT = TypeVar("ShapeT")

OK: Final = 200

#: Times a message that was not processed is handed to the wire before a later attempt takes over.
#: A gateway that says GOAWAY on every connection must not keep us spinning.
ROUNDS: Final = 3
#: Equal refusals of the credential in a row after which the rest is not sent.
REFUSALS_IN_A_ROW: Final = 20
#: Answers that hold for whoever sends, and not for one message.
OF_THE_SENDER: Final = frozenset({OutcomeClass.CREDENTIAL, OutcomeClass.THROTTLED_SENDER})
#: Never handed to the wire; a later attempt will.
NOT_SENT: Final = Answer(OutcomeClass.RETRY_SAFE, "NotSent", deferral=Deferral.HELD)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules(Generic[ShapeT]):
    """What a gateway knows about its answers."""

    #: what an answer that is not 200 means, and a 200 unless `ok_is_accepted`
    judge: Callable[[Answered], Answer]
    #: reasons that another token can mend
    renewable: frozenset[str]
    #: how far a refusal of the credential reaches: equal texts are one scope, None is this message
    scope: Callable[[Answer, ShapeT], str | None]
    ok_is_accepted: bool = True


class Run(Generic[ShapeT]):
    """The messages of one send(): in flight, to go again, refused for their token, settled."""

    def __init__(
        self,
        messages: Iterator[Message[ShapeT]],
        settle: Settle,
        rules: Rules[ShapeT],
        *,
        over: Over = never,
    ) -> None:
        self._messages = messages
        self._settle = settle
        self._rules = rules
        #: the status that needs no judging
        self._plain_yes = OK if rules.ok_is_accepted else None
        self._over = over
        self._in_flight: dict[int, Message[ShapeT]] = {}
        #: each with why it was not processed
        self._again: deque[tuple[Message[ShapeT], str]] = deque()
        #: each with the answer that its token got
        self._stale: list[tuple[Message[ShapeT], Answer]] = []
        self._renewed = False
        self._exhausted = False
        #: whether the gateway had anything to say in this round
        self.heard = False
        #: refusals that hold for a whole scope, and what the messages not sent for them get
        self._barred: list[tuple[str, Answer, Answer]] = []
        self._row: tuple[str, str] | None = None
        self._row_length = 0

    @property
    def unfinished(self) -> bool:
        """Whether there is something to send."""
        return not self._over() and (bool(self._again) or not self._exhausted)

    @property
    def wants_token(self) -> bool:
        """Whether messages wait for another token."""
        return bool(self._stale)

    def refusal(self, reason: str) -> Answer | None:
        """Return the answer with this reason that one of them got for its token, if one did."""
        return next((answer for _, answer in self._stale if answer.reason == reason), None)

    def pull(self) -> Generator[Message[ShapeT]]:
        """Yield what this round sends; ends early when another token is needed first."""
        waiting, self._again = self._again, deque()
        self.heard = False
        try:
            for message in chain(self._drained(waiting), self._messages):
                if self._barred and self._refuse_barred(message):
                    continue
                self._in_flight[message[0]] = message
                yield message
                if len(self._stale) >= REFUSALS_IN_A_ROW:
                    return
            self._exhausted = True
        finally:
            self._again.extend(waiting)

    def _drained(self, waiting: deque[tuple[Message[ShapeT], str]]) -> Iterator[Message[ShapeT]]:
        while waiting and not self._over():
            yield waiting.popleft()[0]

    def refuse(self, index: int, answer: Answer) -> None:
        """Settle a pulled message that no wire needs to see."""
        del self._in_flight[index]
        self._settle(index, answer)

    def on_verdict(self, index: int, verdict: Verdict) -> None:
        """Take the wire's verdict on one message."""
        message = self._in_flight.pop(index)
        if isinstance(verdict, Answered):
            self.heard = True
            if verdict.status == self._plain_yes:
                self._row_length = 0
                self._settle(index, ACCEPTED)
            else:
                self._take_answer(message, self._rules.judge(verdict))
        elif isinstance(verdict, Malformed):
            self._settle(index, Answer(OutcomeClass.REQUEST_BAD, wire_reason(verdict.why)))
        elif isinstance(verdict, NotProcessed):
            self._again.append((message, wire_reason(verdict.why)))
        else:
            self.heard = True
            self._settle(index, Answer(OutcomeClass.UNKNOWN, wire_reason(verdict.why)))

    def use_new_token(self) -> None:
        """Let what a stale token was refused for go once more."""
        self._renewed = True
        self._again.extend((message, answer.reason) for message, answer in self._stale)
        self._stale.clear()

    def settle_rest(self, answer: Answer | None) -> None:
        """Settle what was not sent: with this answer, or as safe to send later."""
        for message, why in self._again:
            self._settle(message[0], answer or Answer(OutcomeClass.RETRY_SAFE, why))
        for message, refusal in self._stale:
            self._settle(message[0], answer or Answer(OutcomeClass.RETRY_SAFE, refusal.reason))
        self._again.clear()
        self._stale.clear()
        for message in self._messages:
            self._settle(message[0], answer or NOT_SENT)

    def _take_answer(self, message: Message[ShapeT], answer: Answer) -> None:
        if answer.outcome is OutcomeClass.RETRY_SAFE:
            self._again.append((message, answer.reason))
            return
        of_the_token = answer.reason in self._rules.renewable
        if of_the_token and not self._renewed:
            self._stale.append((message, answer))
            return
        if of_the_token or answer.outcome in OF_THE_SENDER:
            self._count_refusal(message, answer)
        else:
            self._row_length = 0
        self._settle(message[0], answer)

    def _count_refusal(self, message: Message[ShapeT], answer: Answer) -> None:
        scope = self._rules.scope(answer, message[3])
        if scope is None:
            return
        row = (scope, answer.reason)
        self._row_length = self._row_length + 1 if row == self._row else 1
        self._row = row
        if self._row_length == REFUSALS_IN_A_ROW:
            reason = f"{answer.reason} (not sent after {REFUSALS_IN_A_ROW} in a row)"
            unasked = replace(answer, reason=reason, deferral=Deferral.HELD)
            self._barred.append((scope, answer, unasked))

    def _refuse_barred(self, message: Message[ShapeT]) -> bool:
        for scope, refusal, answer in self._barred:
            if self._rules.scope(refusal, message[3]) == scope:
                self._settle(message[0], answer)
                return True
        return False


async def drive(
    run: Run[ShapeT],
    send_round: Callable[[Iterator[Message[ShapeT]], Token], Awaitable[bool]],
    *,
    token: Callable[[], Awaitable[Token]],
    renew: Callable[[Token], Awaitable[Token]],
) -> None:
    """Run rounds until every message is settled.

    Args:
        run: the messages.
        send_round: hands the messages it is given to the wire, and returns when each has its
            verdict: whether another round is worth while. It is not where there is no connection;
            the wire has tried, and a later attempt comes back with a longer pause.
        token: the token to send with, or TokenError.
        renew: a token in place of one that was refused, or TokenError.
    """
    rest: Answer | None = None
    try:
        current = await token()
        rounds = 0
        while run.unfinished and rounds < ROUNDS:
            with closing(run.pull()) as pulled:
                reachable = await send_round(pulled, current)
            if run.wants_token:
                current = await renew(current)
                run.use_new_token()
            elif reachable:
                rounds += 1
            else:
                break
    except TokenError as error:
        rest = replace(error.answer, deferral=Deferral.HELD)
    finally:
        # Stopped, too: what was to go again was not processed, and is in no doubt.
        run.settle_rest(rest)


async def send_on(
    pool: Pool,
    calls: Iterator[Call],
    run: Run[ShapeT],
    *,
    timeout_seconds: float,
) -> bool:
    """Send one round on an HTTP/2 pool; tell whether the gateway can be reached."""
    failures = pool.stats.connect_failures
    await pool.send_many(calls, run.on_verdict, timeout_seconds=timeout_seconds)
    return run.heard or pool.stats.connect_failures == failures
