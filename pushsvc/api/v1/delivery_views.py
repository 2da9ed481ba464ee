"""A delivery and a group of them as `/v1` shows them."""

from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field

from pushsvc.api.v1.views import CountsView, words
from pushsvc.deliveries import Seen
from pushsvc.model import OUTCOME_OF, GatewayName, Outcome, OutcomeClass, Push, PushState
from pushsvc.storage.deliveries import Group


class ResultView(BaseModel):
    """What came of one recipient; nulls while nothing did."""

    model_config = ConfigDict(extra="forbid")

    id: str | None
    outcome: Outcome | None
    outcome_class: str | None = Field(alias="class")
    reason: str | None


class DeliveryView(BaseModel):
    """A delivery, and what came of each recipient so far, in the order of the request."""

    model_config = ConfigDict(extra="forbid")

    id: str
    group: str | None
    state: PushState
    pending: int
    #: gateways that spoke against too many tokens to be believed: none is to be given up for it
    tokens_held: list[GatewayName]
    results: list[ResultView]


class GroupView(BaseModel):
    """What came so far of all deliveries of a group."""

    model_config = ConfigDict(extra="forbid")

    group: str
    deliveries: int
    #: deliveries that are not over; where there is none, the counts are final
    open: int
    devices: int
    #: devices without an outcome
    pending: int
    by_device_type: dict[str, CountsView]


#: class -> as it is shown: the outcome's word, and its own
_SHOWN: Final = {
    one: (OUTCOME_OF[one].value, one.name.lower()) if one in OUTCOME_OF else (None, None)
    for one in OutcomeClass
}


def delivery_shown(push: Push, seen: Seen) -> dict[str, Any]:
    """Return a delivery as `DeliveryView` describes it."""
    results = []
    for recipient, end in zip(seen.recipients, seen.ends, strict=True):
        outcome, name = _SHOWN[end.outcome]
        reason = end.reason or None
        shown = {"id": recipient.id, "outcome": outcome, "class": name, "reason": reason}
        results.append(shown)
    return {
        "id": push.object_id,
        "group": push.group_id,
        "state": push.state.value,
        "pending": seen.pending,
        "tokens_held": list(seen.held),
        "results": results,
    }


def group_shown(name: str, group: Group) -> dict[str, Any]:
    """Return a group as `GroupView` describes it."""
    by_type = {kind: words(classes) for kind, classes in sorted(group.counts.items())}
    ended = sum(sum(counts.values()) for counts in by_type.values())
    return {
        "group": name,
        "deliveries": group.deliveries,
        "open": group.open,
        "devices": group.devices,
        # The counts may have been read a moment after the devices.
        "pending": max(0, group.devices - ended),
        "by_device_type": by_type,
    }
