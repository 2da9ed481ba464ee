"""The faults of WNS: one row each; a channel URI asks for one with `~name` or `~name-PP`."""

from pushsvc.simulators import behaviours as do
from pushsvc.simulators.behaviours import Behaviour, Telling
from pushsvc.simulators.exchange import Answer, Exchange, Header
from pushsvc.simulators.faults import Delivered, Fault, FaultTable
from pushsvc.simulators.wns.answers import answer, received, refused


def _refuse(status: int, sentence: str) -> Behaviour:
    return do.respond(lambda exchange: refused(exchange, status, sentence))


def _refuse_for_a_while(status: int, sentence: str) -> Behaviour:
    """`Retry-After: PP` seconds when there is a PP."""

    def tell(exchange: Exchange) -> Answer:
        seconds = exchange.parameter
        wait: tuple[Header, ...] = ((b"Retry-After", b"%d" % seconds),) if seconds else ()
        return refused(exchange, status, sentence, *wait)

    return do.respond(tell)


def _state(state: bytes) -> Behaviour:
    return do.respond(lambda exchange: received(exchange, state=state))


def _disconnected(exchange: Exchange) -> Answer:
    fields = ((b"X-WNS-Status", b"received"), (b"X-WNS-DeviceConnectionStatus", b"disconnected"))
    return answer(exchange, *fields)


def _raw(telling: Telling, framing: bytes, body: bytes, *, hang_up: bool) -> Behaviour:
    """An answer with framing of its own: what follows the header fields is written as it is."""

    def behave(exchange: Exchange) -> None:
        told = telling(exchange)
        fields = b"".join(b"%s: %s\r\n" % field for field in told.headers)
        head = b"HTTP/1.1 %d Simulated\r\n" % told.status + fields + framing + b"\r\n"
        exchange.answer_raw(told, head + body, hang_up=hang_up)

    return behave


def _gone(exchange: Exchange) -> Answer:
    return refused(exchange, 410, "The channel expired")


LENGTH_20 = b"Content-Length: 20\r\n"
LENGTH_0 = b"Content-Length: 0\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n"
GONE_CHUNKED = b"4\r\ngone\r\n0\r\n\r\n"

A, N, PP = Delivered.YES, Delivered.NO, Delivered.BY_PARAMETER
FAULTS = FaultTable(
    Fault(0x00, "ok", do.accept, A),
    Fault(None, "dropped", _state(b"dropped"), N),
    Fault(None, "channelthrottled", _state(b"channelthrottled"), N),
    Fault(None, "disconnected", do.respond(_disconnected), A),
    Fault(None, "bad_request", _refuse(400, "The request is malformed"), N),
    Fault(None, "unauth", do.first(_refuse(401, "The access token expired")), N),
    Fault(None, "forbidden", _refuse(403, "The cloud service may not send to this channel"), N),
    Fault(None, "not_found", _refuse(404, "The channel URI is not valid"), N),
    Fault(None, "method", _refuse(405, "Method not allowed"), N),
    Fault(None, "throttled", _refuse_for_a_while(406, "Throttle limit exceeded"), N),
    Fault(None, "gone", do.respond(_gone), N),
    Fault(None, "domain_blocked", _refuse(410, "Domain blocked"), N),
    Fault(None, "too_large", _refuse(413, "The payload exceeds 5000 bytes"), N),
    Fault(None, "quota", _refuse_for_a_while(429, "The monthly quota is exhausted"), N),
    Fault(None, "internal", do.first(_refuse(500, "Internal failure")), N),
    Fault(None, "unavailable", _refuse_for_a_while(503, "The server is unavailable"), N),
    Fault(None, "unavailable_first", do.first(_refuse(503, "The server is unavailable")), N),
    Fault(None, "unknown_status", _refuse(418, "I am a teapot"), N),
    Fault(0x12, "slow", do.slowly(do.welcome), A),
    Fault(0x13, "never", do.silence, A),
    Fault(0x14, "never_n", do.silence, N),
    Fault(0x40, "tcp_rst", do.reset_tcp, PP),
    Fault(0x41, "close_before", do.hang_up, PP),
    Fault(0x44, "blackhole", do.go_dark, A),
    Fault(None, "close_after", _raw(received, LENGTH_0, b"", hang_up=True), A),
    Fault(None, "close_mid_body", _raw(received, LENGTH_20, b"half", hang_up=True), A),
    Fault(None, "chunked_response", _raw(_gone, CHUNKED, GONE_CHUNKED, hang_up=False), N),
    Fault(None, "no_content_length", _raw(_gone, b"", b"gone", hang_up=True), N),
)  # fmt: skip
