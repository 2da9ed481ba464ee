"""A push that is planned by zone: its legs, one after another, and what each zone gets. Pure.

A leg is the devices of some zones, planned at one go. A push in local time has one for each
moment at which its wall time is shown somewhere; what was past when its plan was begun is one
together. Any other push has one leg, of all zones.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from pushsvc.model import Late, OutcomeClass, Push, Rules
from pushsvc.planning import localtime

#: Stands for the zone of devices that have none, or one that nobody knows.
ZONELESS: Final = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Leg:
    """What is planned at one go."""

    #: zone -> its moment; None where the leg has all zones
    moments: Mapping[str, datetime] | None
    #: whether devices without a zone are of it
    has_zoneless: bool
    #: whether devices may be in an earlier one
    is_later: bool
    #: when the next leg is due; None after the last
    next_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Zone:
    """What the devices of one zone get."""

    name: str
    due_at: datetime
    #: where that is not the push's own
    expires_at: datetime | None
    #: why they get nothing
    left_out: OutcomeClass | None


def leg_of(push: Push) -> Leg:
    """Return the leg that a push whose plan is leased is at."""
    if push.local_time is None:
        return Leg(moments=None, has_zoneless=True, is_later=False, next_at=None)
    is_later = push.started_at is not None and push.due_at > push.started_at
    until = push.due_at if push.started_at is None or is_later else push.started_at
    ahead = [one for one in localtime.moments(push.local_time) if one.at >= push.due_at]
    moments = {zone: one.at for one in ahead if one.at <= until for zone in one.zones}
    # Who has no zone, and is left out for it, is told so at the first chance.
    has_zoneless = push.zoneless in moments or (push.zoneless is None and not is_later)
    return Leg(
        moments=moments,
        has_zoneless=has_zoneless,
        is_later=is_later,
        next_at=next((one.at for one in ahead if one.at > until), None),
    )


def zone_of(push: Push, name: str, *, now: datetime, late_after: timedelta) -> Zone:
    """Return what the devices of a zone get that is planned now."""
    due_at = moment_of(push, name)
    left_out = left_out_late(push, due_at, now=now, late_after=late_after)
    if name == ZONELESS and leaves_out_zoneless(push):
        left_out = OutcomeClass.NO_TIME_ZONE
    expires_at = None
    if push.local_time is not None and push.expiration_interval is not None:
        expires_at = due_at + timedelta(seconds=push.expiration_interval)
    return Zone(name=name, due_at=due_at, expires_at=expires_at, left_out=left_out)


def moment_of(push: Push, zone: str) -> datetime:
    """Return when a zone's devices are due; for those that are left out, when they are told so."""
    zone = zone or push.zoneless or ZONELESS
    if push.local_time is None:
        return push.due_at
    if zone == ZONELESS:
        return localtime.moments(push.local_time)[0].at
    return localtime.moment_of(push.local_time, zone)


def left_out_late(
    push: Push, due_at: datetime, *, now: datetime, late_after: timedelta
) -> OutcomeClass | None:
    """Return why devices that are planned now get nothing: it is too late, and they want it so."""
    is_late = push.late is Late.SKIP and now - due_at > late_after
    return OutcomeClass.LATE if is_late else None


def leaves_out_zoneless(push: Push) -> bool:
    """Tell whether devices without a zone get nothing: the push goes by clocks they do not have."""
    return push.zoneless is None and goes_by_clocks(push.local_time, push.rules)


def goes_by_clocks(local_time: datetime | None, rules: Rules | None) -> bool:
    """Tell whether a push asks what the devices' clocks show."""
    return local_time is not None or (rules is not None and rules.quiet_hours is not None)
