"""What can be turned on the simulators; the defaults are as strict as the real gateways."""

from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import Any


class KnobError(ValueError):
    """No such knob, or no such value; the message says which."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Knobs:
    """Limits and speeds of all three gateways."""

    #: Seconds between request and answer, drawn evenly from (low, high).
    latency_seconds: tuple[float, float] = (0.0, 0.0)
    #: APNs refuses a second new provider token of one team within this time; 0 turns the rule off.
    #: Apple: "no more than once every 20 minutes".
    apns_token_update_seconds: float = 20 * 60.0
    #: Age from which on APNs calls a provider token expired. Apple: an hour.
    apns_token_age_seconds: float = 3600.0
    #: Concurrent streams before the first authorised request, and after it.
    apns_streams_at_first: int = 1
    apns_streams: int = 1000
    #: A stream beyond the limit ends the connection with GOAWAY; otherwise it alone is refused.
    apns_strict_streams: bool = False
    #: The sandbox answers with `apns-unique-id` too, and knows sandbox keys, not production ones.
    apns_sandbox: bool = False
    #: Google's front end is commonly seen to advertise 100.
    fcm_streams: int = 100
    #: Messages a minute before FCM answers 429 QUOTA_EXCEEDED; 0 turns the rule off.
    fcm_messages_per_minute: int = 0
    #: A connection that is so old, or was not used for so long, gets GOAWAY (HTTP/2); 0: never.
    max_age_seconds: float = 0.0
    max_idle_seconds: float = 0.0
    #: Lifetime of the OAuth access tokens that FCM and WNS issue.
    access_token_seconds: int = 3600
    #: Requests kept in full; later ones are only counted and the ledger calls itself truncated.
    ledger_entries: int = 200_000
    #: Tokens and message ids remembered for the summary by token and for finding duplicates.
    ledger_tokens: int = 1_000_000
    #: Bytes of each payload kept.
    ledger_payload_bytes: int = 4096


def turn(settings: Iterable[str]) -> Knobs:
    """The knobs as `name=value` turns them; two numbers are `low,high`.

    Raises:
        KnobError: naming what is wrong.
    """
    defaults = {field.name: field.default for field in fields(Knobs)}
    turned: dict[str, Any] = {}
    for setting in settings:
        name, _, value = setting.partition("=")
        if name not in defaults:
            message = f"{name}: no such knob; there are {', '.join(defaults)}"
            raise KnobError(message)
        turned[name] = _read(name, value, like=defaults[name])
    return Knobs(**turned)


def _read(name: str, value: str, *, like: Any) -> Any:
    """A value of the type that the default has."""
    try:
        if isinstance(like, bool):
            return {"true": True, "false": False}[value]
        if isinstance(like, tuple):
            low, high = map(float, value.split(","))
            return low, high
        return type(like)(value)
    except (ValueError, KeyError) as error:
        message = f"{name}: {value!r} is no value like {like!r}"
        raise KnobError(message) from error
