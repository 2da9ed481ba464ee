"""WNS answers: a status and header fields, no body."""

from pushsvc.simulators.exchange import Answer, Exchange, Header


def answer(exchange: Exchange, *fields: Header, status: int = 200, reason: str = "") -> Answer:
    """An answer with the ids that every one carries."""
    message_id = exchange.entry.message_id.encode()
    ids = ((b"X-WNS-Msg-ID", message_id), (b"X-WNS-Debug-Trace", b"SIM-" + message_id))
    return Answer(status, reason, (*ids, *fields))


def received(exchange: Exchange, *, state: bytes = b"received") -> Answer:
    """200 with the notification's state, and the device's if it was asked for."""
    fields: list[Header] = [(b"X-WNS-Status", state)]
    if exchange.fields.get(b"x-wns-requestforstatus") == b"true":
        fields.append((b"X-WNS-DeviceConnectionStatus", b"connected"))
    reason = "" if state == b"received" else state.decode()
    return answer(exchange, *fields, reason=reason)


def refused(exchange: Exchange, status: int, sentence: str, *fields: Header) -> Answer:
    """A refusal that says why."""
    said = (b"X-WNS-Error-Description", sentence.encode("ascii", "replace"))
    return answer(exchange, said, *fields, status=status, reason=sentence)
