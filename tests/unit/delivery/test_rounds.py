"""What a send() does with verdicts: again, with another token, or not at all."""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given, strategies as st

from pushsvc.delivery.gateway import Message
from pushsvc.delivery.one_by_one import OneByOne
from pushsvc.delivery.rounds import NOT_SENT, REFUSALS_IN_A_ROW, Rules, Run, drive
from pushsvc.delivery.tokens import Token, TokenError
from pushsvc.delivery.wire import Answered, Malformed, NotProcessed, Unknown, Verdict
from pushsvc.model import ACCEPTED, Answer, Deferral, OutcomeClass

#: status of an answer -> class and reason, for a gateway that is nobody's
MEANINGS = {
    200: ACCEPTED,
    401: Answer(OutcomeClass.CREDENTIAL, "Stale"),
    403: Answer(OutcomeClass.CREDENTIAL, "Forbidden"),
    429: Answer(OutcomeClass.THROTTLED_SENDER, "Quota", 2.0),
    404: Answer(OutcomeClass.CREDENTIAL, "WrongTopic"),
    410: Answer(OutcomeClass.TOKEN_DEAD, "Gone"),
    421: Answer(OutcomeClass.RETRY_SAFE, "Elsewhere"),
}
#: The shape of these messages is the name of their topic.
RULES: Rules[str] = Rules(
    judge=lambda answered: MEANINGS[answered.status],
    renewable=frozenset({"Stale"}),
    scope=lambda answer, topic: topic if answer.reason == "WrongTopic" else "",
)
OLD, NEW = (Token(value=name, minted_at=0, refresh_at=1, expires_at=2) for name in ("old", "new"))

#: index, topic, round (from 1), token -> what the wire says
Wire = Callable[[int, str, int, str], Verdict]


def status(code: int) -> Answered:
    return Answered(code, (), b"")


class Sender:
    """Drives one run over a wire that is a function; counts what was asked of both."""

    def __init__(
        self, wire: Wire, *, no_token: Answer | None = None, no_renewal: Answer | None = None
    ) -> None:
        self.wire = wire
        self.no_token = no_token
        self.no_renewal = no_renewal
        self.settled: dict[int, Answer] = {}
        self.tries: Counter[int] = Counter()
        self.rounds = 0
        self.renewals = 0
        self.reachable = True

    async def send(self, topics: list[str]) -> list[tuple[str, str]]:
        """Send a message to each topic; return (class, reason) in their order."""
        messages = iter([(i, i, "token", topic) for i, topic in enumerate(topics)])
        run = Run(messages, self._settle, RULES)

        async def send_round(pulled: Iterator[Message[str]], token: Token) -> bool:
            self.rounds += 1
            for index, _, _, topic in pulled:
                self.tries[index] += 1
                run.on_verdict(index, self.wire(index, topic, self.rounds, token.value))
            return self.reachable

        await drive(run, send_round, token=self._token, renew=self._renew)
        assert list(range(len(topics))) == sorted(self.settled)
        return [(self.settled[i].outcome.name, self.settled[i].reason) for i in range(len(topics))]

    def _settle(self, index: int, answer: Answer) -> None:
        assert index not in self.settled, "settled twice"
        self.settled[index] = answer

    async def _token(self) -> Token:
        if self.no_token is not None:
            raise TokenError(self.no_token)
        return OLD

    async def _renew(self, stale: Token) -> Token:
        assert stale is OLD
        if self.no_renewal is not None:
            raise TokenError(self.no_renewal)
        self.renewals += 1
        return NEW


async def test_what_was_not_processed_goes_again() -> None:
    """A refused stream is sent in the next round, and nobody else is."""
    sender = Sender(lambda i, _t, r, _k: NotProcessed("refused") if i == 1 and r == 1 else OK)

    assert await sender.send(["a", "a", "a"]) == [("OK", "")] * 3
    assert sender.tries == {0: 1, 1: 2, 2: 1}


OK = status(200)


async def test_three_rounds_and_no_more() -> None:
    """A gateway that refuses all is left to a later attempt, with its reason."""
    sender = Sender(lambda i, _t, _r, _k: NotProcessed(f"goaway {i}"))

    assert await sender.send(["a", "a"]) == [("RETRY_SAFE", "goaway 0"), ("RETRY_SAFE", "goaway 1")]
    assert sender.rounds == 3


async def test_without_a_connection_one_round_is_enough() -> None:
    """The wire has tried to connect; trying again at once would only hold up the batch."""
    sender = Sender(lambda _i, _t, _r, _k: NotProcessed("no connection"))
    sender.reachable = False

    assert await sender.send(["a"]) == [("RETRY_SAFE", "no connection")]
    assert sender.rounds == 1


async def test_an_answer_that_says_not_processed_goes_again() -> None:
    """IdleTimeout is an answer, but the message was not looked at."""
    sender = Sender(lambda _i, _t, r, _k: status(421) if r == 1 else OK)

    assert await sender.send(["a"]) == [("OK", "")]


async def test_a_doubt_is_told_and_not_resent() -> None:
    """Whether an unanswered message is sent again is the push's to say."""
    sender = Sender(lambda _i, _t, _r, _k: Unknown("deadline"))

    assert await sender.send(["a"]) == [("UNKNOWN", "deadline")]
    assert sender.rounds == 1


async def test_a_peer_s_words_are_made_fit_to_store() -> None:
    """GOAWAY's debug data may hold anything; a database takes no NUL, and a report no novel."""
    sender = Sender(lambda _i, _t, _r, _k: Unknown("GOAWAY \0\n\u00e9" + "x" * 500))
    ((_, reason),) = await sender.send(["a"])

    assert reason == "GOAWAY ???" + "x" * 90


async def test_a_message_that_cannot_be_written_is_not_tried_again() -> None:
    """An illegal header field stays illegal."""
    sender = Sender(lambda _i, _t, _r, _k: Malformed("header x: ..."))

    assert await sender.send(["a"]) == [("REQUEST_BAD", "header x: ...")]
    assert sender.rounds == 1


async def test_a_stale_token_is_renewed_once_and_all_are_accepted() -> None:
    """The wire stops at the 20th refusal, gets a new token, and sends refused and rest."""
    sender = Sender(lambda _i, _t, _r, k: OK if k == "new" else status(401))

    assert await sender.send(["a"] * 500) == [("OK", "")] * 500
    assert (sender.renewals, sender.rounds) == (1, 2)
    assert Counter(sender.tries.values()) == {2: REFUSALS_IN_A_ROW, 1: 480}


async def test_a_token_that_stays_refused_is_not_renewed_again() -> None:
    """The second refusal is final, and after 20 in a row the rest is not sent."""
    sender = Sender(lambda _i, _t, _r, _k: status(401))
    outcomes = await sender.send(["a"] * 500)

    barred = ("CREDENTIAL", "Stale (not sent after 20 in a row)")
    assert Counter(outcomes) == {("CREDENTIAL", "Stale"): 20, barred: 480}
    assert (sender.renewals, sum(sender.tries.values())) == (1, 40)


async def test_a_refused_credential_is_not_asked_about_for_ever() -> None:
    """20 equal refusals in a row, and the gateway hears no more of this send."""
    sender = Sender(lambda _i, _t, _r, _k: status(403))
    outcomes = await sender.send(["a"] * 10_000)

    assert {outcome for outcome, _ in outcomes} == {"CREDENTIAL"}
    assert (sender.renewals, sum(sender.tries.values())) == (0, REFUSALS_IN_A_ROW)


async def test_a_sender_over_its_quota_is_not_asked_about_for_ever() -> None:
    """20 answers in a row that it is too fast, and the rest waits as long as the gateway says."""
    sender = Sender(lambda _i, _t, _r, _k: status(429))
    outcomes = await sender.send(["a"] * 1_000)

    assert {outcome for outcome, _ in outcomes} == {"THROTTLED_SENDER"}
    assert sum(sender.tries.values()) == REFUSALS_IN_A_ROW
    assert sender.settled[999].retry_after == 2.0
    assert sender.settled[999].deferral is Deferral.HELD


async def test_refusals_between_successes_bar_nobody() -> None:
    """One accepted message in between shows that the credential is good."""
    sender = Sender(lambda i, _t, _r, _k: OK if i % 20 == 19 else status(403))
    await sender.send(["a"] * 400)

    assert sum(sender.tries.values()) == 400


async def test_a_wrong_topic_bars_its_topic_only() -> None:
    """Messages to other topics of the same key are sent."""
    sender = Sender(lambda _i, topic, _r, _k: status(404) if topic == "bad" else OK)
    outcomes = await sender.send(["bad"] * 50 + ["good"] * 50)

    assert outcomes[50:] == [("OK", "")] * 50
    assert sum(sender.tries.values()) == REFUSALS_IN_A_ROW + 50


@pytest.mark.parametrize("outcome", [OutcomeClass.CREDENTIAL, OutcomeClass.RETRY_BACKOFF])
async def test_without_a_token_nothing_is_sent(outcome: OutcomeClass) -> None:
    """Every message gets the answer of the token endpoint."""
    sender = Sender(lambda _i, _t, _r, _k: OK, no_token=Answer(outcome, "token_refused"))

    assert await sender.send(["a"] * 3) == [(outcome.name, "token_refused")] * 3
    assert sender.rounds == 0


async def test_a_token_that_cannot_be_renewed_ends_the_send() -> None:
    """Refused messages and the rest get the endpoint's answer; accepted ones keep theirs."""
    down = Answer(OutcomeClass.RETRY_BACKOFF, "token_unavailable")
    sender = Sender(lambda i, _t, _r, _k: OK if i == 0 else status(401), no_renewal=down)
    outcomes = await sender.send(["a"] * 100)

    assert [("OK", ""), *[("RETRY_BACKOFF", "token_unavailable")] * 99] == outcomes


async def test_a_round_that_is_broken_off_loses_nothing() -> None:
    """A wire that stops pulling in the midst leaves the rest for the next round."""
    settled: dict[int, Answer] = {}
    run = Run(iter([(i, i, "", "a") for i in range(10)]), settled.__setitem__, RULES)
    rounds = 0

    async def send_round(pulled: Iterator[Message[str]], _token: Token) -> bool:
        nonlocal rounds
        rounds += 1
        for count, message in enumerate(pulled):
            run.on_verdict(message[0], NotProcessed("x") if rounds == 1 else OK)
            if rounds == 1 and count == 4:
                break
        return True

    async def token() -> Token:
        return OLD

    async def renew(stale: Token) -> Token:
        return stale

    await drive(run, send_round, token=token, renew=renew)
    assert dict.fromkeys(range(10), ACCEPTED) == settled
    assert rounds == 2


async def test_what_goes_again_is_in_no_doubt_when_all_is_stopped() -> None:
    """Only what is out is: it is left to who handed it over."""
    settled: dict[int, Answer] = {}
    run = Run(iter([(i, i, "token", "a") for i in range(4)]), settled.__setitem__, RULES)

    async def send_round(pulled: Iterator[Message[str]], _: Token) -> bool:
        run.on_verdict(next(pulled)[0], NotProcessed("refused"))
        run.on_verdict(next(pulled)[0], status(401))
        next(pulled)
        raise asyncio.CancelledError

    async def token(*_: Token) -> Token:
        return OLD

    with pytest.raises(asyncio.CancelledError):
        await drive(run, send_round, token=token, renew=token)
    assert settled == {
        0: Answer(OutcomeClass.RETRY_SAFE, "refused"),
        1: Answer(OutcomeClass.RETRY_SAFE, "Stale"),
        3: NOT_SENT,
    }


async def test_what_was_not_processed_does_not_go_again_once_it_is_over() -> None:
    """A push that was cancelled meanwhile: not one message more, and none in doubt."""
    settled: dict[int, Answer] = {}
    over = asyncio.Event()
    messages = iter([(i, i, "token", "a") for i in range(3)])
    run = Run(messages, settled.__setitem__, RULES, over=over.is_set)
    handed = 0

    async def send_round(pulled: Iterator[Message[str]], _: Token) -> bool:
        nonlocal handed
        for message in pulled:
            handed += 1
            run.on_verdict(message[0], NotProcessed("refused"))
            if handed == 4:
                over.set()
        return True

    async def token(*_: Token) -> Token:
        return OLD

    await drive(run, send_round, token=token, renew=token)
    assert handed == 4, "three in the first round, and one of the second"
    assert settled == dict.fromkeys(range(3), Answer(OutcomeClass.RETRY_SAFE, "refused"))


async def test_a_message_that_waits_for_its_turn_is_in_no_doubt_when_all_is_stopped() -> None:
    """Of senders that take one at a time: the first is out, the second is not."""
    settled: dict[int, Answer] = {}
    run = Run(iter([(i, i, "token", "a") for i in range(2)]), settled.__setitem__, RULES)
    out = asyncio.Event()

    async def deliver(_message: Message[str], _token: Token) -> Verdict:
        out.set()
        await asyncio.Event().wait()
        return OK

    async def token(*_: Token) -> Token:
        return OLD

    sender = OneByOne(deliver, at_once=1)
    work = asyncio.create_task(
        drive(run, lambda pulled, token: sender.send(run, pulled, token), token=token, renew=token)
    )
    await out.wait()
    work.cancel()
    await asyncio.wait([work])

    assert settled == {1: Answer(OutcomeClass.RETRY_SAFE, "stopped before its turn")}


anything: list[Verdict] = [NotProcessed("n"), Unknown("u"), Malformed("m")]
anything += map(status, MEANINGS)


@given(data=st.data(), size=st.integers(0, 80))
async def test_every_message_has_exactly_one_answer(data: st.DataObject, size: int) -> None:
    """Whatever the wire says in whatever order, each message is settled once, and tried a bit."""
    sender = Sender(lambda _i, _t, _r, _k: data.draw(st.sampled_from(anything)))
    topics = data.draw(st.lists(st.sampled_from("ab"), min_size=size, max_size=size))
    await sender.send(topics)

    assert max(sender.tries.values(), default=0) <= 4
    assert sender.renewals <= 1
