"""What faults are made of: small functions on an exchange that can be put together."""

from collections.abc import Callable
from dataclasses import replace

from h2.errors import ErrorCodes

from pushsvc.simulators.exchange import Answer, Exchange

Behaviour = Callable[[Exchange], None]
Telling = Callable[[Exchange], Answer]

#: PP counts tenths of a second wherever it is a time to wait.
TICK_SECONDS = 0.1
#: "First N" faults with this PP never end; so do those without one.
ALWAYS = 0xFF
#: Time between the notice and the real GOAWAY of a graceful shutdown.
GOAWAY_NOTICE_SECONDS = 0.05
#: 30 KB of header fields: more than senders are wont to announce, less than they reject.
DEBUG_FIELDS, DEBUG_BYTES = 30, 1_000
#: What APNs says when a sender opens more streams than it may.
MAX_STREAMS = b"Maximum active streams violated for this endpoint"


def accept(exchange: Exchange) -> None:
    """Take the message."""
    exchange.accept()


def welcome(exchange: Exchange) -> None:
    """Say that the message was taken; whether it was, the row says."""
    exchange.answer(exchange.desk.welcome(exchange))


def silence(exchange: Exchange) -> None:
    """Never answer."""


def respond(telling: Telling) -> Behaviour:
    """Answer what `telling` makes of the exchange."""
    return lambda exchange: exchange.answer(telling(exchange))


def first(behaviour: Behaviour) -> Behaviour:
    """Behave so for the first PP requests of the token, then accept. No PP, or ff: always."""

    def behave(exchange: Exchange) -> None:
        limit = exchange.parameter
        if limit in (0, ALWAYS) or exchange.desk.ledger.strike(exchange.entry) <= limit:
            behaviour(exchange)
        else:
            exchange.accept()

    return behave


def slowly(behaviour: Behaviour) -> Behaviour:
    """Behave so after PP x 100 ms."""
    return lambda exchange: exchange.after(
        exchange.parameter * TICK_SECONDS, lambda: behaviour(exchange)
    )


def in_turn(*behaviours: Behaviour) -> Behaviour:
    """One after the other, at once."""

    def behave(exchange: Exchange) -> None:
        for behaviour in behaviours:
            behaviour(exchange)

    return behave


def slow_body(telling: Telling) -> Behaviour:
    """The head of the answer now, its body after PP x 100 ms."""

    def behave(exchange: Exchange) -> None:
        answer = telling(exchange)
        pause = exchange.parameter * TICK_SECONDS
        exchange.answer_in_pieces(answer, [answer.body], pause=pause)

    return behave


def split_body(telling: Telling) -> Behaviour:
    """The body byte by byte, with an empty piece after each byte."""

    def behave(exchange: Exchange) -> None:
        answer = telling(exchange)
        pieces = [piece for byte in answer.body for piece in (bytes([byte]), b"")]
        exchange.answer_in_pieces(answer, pieces)

    return behave


def bulky(telling: Telling) -> Behaviour:
    """The answer with a header list beyond what any sender wants."""

    def tell(exchange: Exchange) -> Answer:
        answer = telling(exchange)
        bulk = tuple((b"x-debug-%d" % nth, b"d" * DEBUG_BYTES) for nth in range(DEBUG_FIELDS))
        return replace(answer, headers=(*answer.headers, *bulk))

    return respond(tell)


def reset(code: ErrorCodes) -> Behaviour:
    """RST_STREAM instead of an answer."""
    return lambda exchange: exchange.reset(code)


def half_then_reset(telling: Telling) -> Behaviour:
    """The head of an answer, then RST_STREAM INTERNAL_ERROR."""
    return lambda exchange: exchange.answer_half(telling(exchange), ErrorCodes.INTERNAL_ERROR)


def accept_then_reset(exchange: Exchange) -> None:
    """A whole answer, then RST_STREAM NO_ERROR (RFC 9113, 8.1: the sender keeps the answer)."""
    exchange.answer_then_reset(exchange.desk.welcome(exchange), ErrorCodes.NO_ERROR)


def goaway_graceful(exchange: Exchange) -> None:
    """A notice, 50 ms, then GOAWAY with the highest stream taken by then; those finish first."""
    exchange.announce_goaway()
    exchange.after(GOAWAY_NOTICE_SECONDS, lambda: exchange.goaway(exchange.highest_taken()))


def goaway_below(exchange: Exchange) -> None:
    """GOAWAY that disowns this stream and all later ones."""
    exchange.goaway(exchange.stream_id - 2)


def goaway_zero(debug: bytes) -> Behaviour:
    """GOAWAY that disowns every open stream, with debug data, then a second one and the end."""

    def behave(exchange: Exchange) -> None:
        exchange.goaway(0, debug=debug)
        exchange.goaway(0)
        exchange.hang_up()

    return behave


def goaway(code: ErrorCodes, debug: bytes) -> Behaviour:
    """GOAWAY that disowns this stream and all later ones, with an error code and debug data."""
    return lambda exchange: exchange.goaway(exchange.stream_id - 2, code=code, debug=debug)


def goaway_then_end(exchange: Exchange) -> None:
    """GOAWAY that owns this stream, then the end without any answer."""
    exchange.goaway(exchange.stream_id)
    exchange.hang_up()


def reset_tcp(exchange: Exchange) -> None:
    """TCP RST."""
    exchange.reset_tcp()


def hang_up(exchange: Exchange) -> None:
    """TLS close_notify and FIN."""
    exchange.hang_up()


def go_dark(exchange: Exchange) -> None:
    """Stop reading and writing."""
    exchange.go_dark()
