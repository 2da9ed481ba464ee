"""What a batch's answers say against tokens, and what may be done for it. Pure.

Nothing is decided batch by batch. Evidence is gathered with the answers that weigh against it,
and judged when the push is closed: a gateway that speaks against too many of a push's tokens is
not believed, and a token is suspected in vain where nothing shows the credential to be good.
"""

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final

from pushsvc.model import (
    AGAINST_TOKENS,
    Answer,
    Batch,
    Device,
    Evidence,
    GatewayName,
    OutcomeClass,
    Push,
    Weight,
    Weights,
)

#: FCM's word for a token whose app is gone.
UNREGISTERED: Final = "UNREGISTERED"
#: Fewer blamed tokens of one push are no sign that something else is wrong.
LEAST_BLAMED: Final = 50

_ACCEPTED: Final = bytes((OutcomeClass.OK, OutcomeClass.VALIDATED))


@dataclass(frozen=True, slots=True, kw_only=True)
class Routes:
    """By which gateway devices are reached; equal parties are reached in the same way."""

    parties_of: Callable[[Sequence[Device]], Iterable[Hashable]]
    gateway_of: Callable[[Device], GatewayName | None]

    def scope_of(self, device: Device) -> str | None:
        """Return what a yes to this device proves the credential good for.

        APNs' credentials have topics, and a token is of one topic, so of APNs that is the app.
        """
        gateway = self.gateway_of(device)
        if gateway is GatewayName.APNS:
            return f"{gateway.value}:{device.app_identifier or ''}"
        return gateway and gateway.value


def gather(
    push: Push,
    batch: Batch,
    devices: Iterable[Device],
    *,
    answers: Mapping[int, Answer],
    routes: Routes,
) -> list[Evidence]:
    """Return what was said against the tokens of the batch's installations.

    What has no token of ours is nobody's evidence. Where we only look, FCM's plain word alone is.
    """
    if not batch.installation_ids or not answers:
        return []
    found: list[Evidence] = []
    device_of = {device.place: device for device in devices if device.token}
    for index, answer in answers.items():
        if answer.outcome not in AGAINST_TOKENS or index not in device_of:
            continue
        if push.validate_only and answer.reason != UNREGISTERED:
            continue
        device = device_of[index]
        scope, gateway = routes.scope_of(device), routes.gateway_of(device)
        if scope is not None and gateway is not None:
            found.append(
                Evidence(
                    installation_id=batch.installation_ids[index],
                    token=device.token,
                    gateway=gateway,
                    scope=scope,
                    outcome=answer.outcome,
                    reason=answer.reason,
                    since=_moment(answer.invalid_since_ms),
                )
            )
    return found


def outdated(batch: Batch, answers: Mapping[int, Answer]) -> dict[int, Answer]:
    """Return, by place, what proves nothing: tokens that explicit devices have registered since.

    Apple's rule of a 410 (its `timestamp`); installations have theirs applied to the evidence.
    """
    found: dict[int, Answer] = {}
    for place, answer in answers.items() if batch.recipients else ():
        since, registered = answer.invalid_since_ms, batch.recipients[place].registered_ms
        is_dead = answer.outcome is OutcomeClass.TOKEN_DEAD
        if is_dead and since and registered and since < registered:
            found[place] = replace(answer, outcome=OutcomeClass.TOKEN_SUSPECT)
    return found


def weigh(
    devices: Sequence[Device],
    *,
    outcomes: bytes | bytearray,
    evidence: Iterable[Evidence],
    routes: Routes,
) -> dict[str, Weight]:
    """Count by scope whom the gateways accepted and whom they spoke against."""
    takers = devices
    if outcomes.translate(None, _ACCEPTED):
        takers = [device for device in devices if outcomes[device.place] in _ACCEPTED]
    parties = list(routes.parties_of(takers))
    one_of = dict(zip(parties, takers, strict=True))
    accepted: Counter[str] = Counter()
    for party, n in Counter(parties).items():
        scope = routes.scope_of(one_of[party])
        if scope is not None:
            accepted[scope] += n
    blamed = Counter(one.scope for one in evidence)
    return {
        scope: Weight(accepted[scope], blamed[scope])
        for scope in sorted(accepted.keys() | blamed.keys())
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What may be done for a push's evidence."""

    #: gateways for whose evidence nothing is
    held: Sequence[str]
    #: scopes whose credential is good, so that a suspected token is at fault itself
    proven: Sequence[str]


def judge(answered: Weights, *, share_limit: float) -> Verdict:
    """Judge the evidence of a whole push.

    Args:
        answered: by scope, all that the gateways said of its devices.
        share_limit: of these answers so many may speak against tokens.
    """
    accepted: Counter[str] = Counter()
    blamed: Counter[str] = Counter()
    for scope, said in answered.items():
        gateway = scope.partition(":")[0]
        accepted[gateway] += said.accepted
        blamed[gateway] += said.blamed
    held = [
        gateway
        for gateway, n in sorted(blamed.items())
        if n >= LEAST_BLAMED and n > share_limit * (n + accepted[gateway])
    ]
    proven = [scope for scope, said in sorted(answered.items()) if said.accepted]
    return Verdict(held=held, proven=proven)


def _moment(milliseconds: int | None) -> datetime | None:
    return None if milliseconds is None else datetime.fromtimestamp(milliseconds / 1000, UTC)
