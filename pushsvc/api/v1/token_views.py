"""The history of a token as `/v1` shows it."""

from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from pushsvc.api.replies import moment, moment_or_none
from pushsvc.model import GatewayName, Standing, TokenEventKind, TokenState
from pushsvc.storage.token_history import TokenEvent


class Whole(BaseModel):
    """No key but these."""

    model_config = ConfigDict(extra="forbid")


class TokenView(Whole):
    """An installation's token as it is now."""

    value: str | None = Field(description="The token, or the channel URI of a Windows device.")
    state: TokenState
    registered_at: str = Field(description="When the device last registered it.")
    retired_at: str | None = Field(description="Since when it is not sent to.")
    quarantined_until: str | None = Field(description="When it is tried again by itself.")


class TokenEventView(Whole):
    """Something that happened to a token."""

    at: str
    kind: TokenEventKind
    token: str | None
    gateway: GatewayName | None
    reason: str | None = Field(description="The gateway's word.")
    push: str | None = Field(description="The push whose message it said so of.")
    since: str | None = Field(
        description="From when on it holds: the gateway's time, or else when it was asked."
    )


class TokenHistoryView(Whole):
    """Where a token stands, and what happened to it, newest first."""

    object_id: str
    installation_id: str | None
    token: TokenView
    events: list[TokenEventView]
    next_cursor: str | None


def shown(
    standing: Standing, events: Iterable[TokenEvent], *, next_cursor: str | None
) -> dict[str, Any]:
    """Return a page of history as `TokenHistoryView` describes it."""
    return {
        "object_id": standing.object_id,
        "installation_id": standing.installation_id,
        "token": {
            "value": standing.token or None,
            "state": standing.token_state.value,
            "registered_at": moment_or_none(standing.token_set_at),
            "retired_at": moment_or_none(standing.token_retired_at),
            "quarantined_until": moment_or_none(standing.quarantined_until),
        },
        "events": [_event(event) for event in events],
        "next_cursor": next_cursor,
    }


def _event(event: TokenEvent) -> dict[str, Any]:
    return {
        "at": moment(event.at),
        "kind": event.kind.value,
        "token": event.token,
        "gateway": event.gateway and event.gateway.value,
        "reason": event.reason,
        "push": event.push,
        "since": moment_or_none(event.since),
    }
