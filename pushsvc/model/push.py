"""A push, the app it belongs to, and what its gateways want to see."""

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Final

from pushsvc.model.rules import Json, Rules

#: The audience of a delivery says how many there are.
DEVICE_COUNT: Final = "device_count"


def device_count(audience: Json) -> int | None:
    """Return how many devices an audience names; None where it is one to be found."""
    devices = audience.get("devices")
    count: int | None = audience.get(DEVICE_COUNT) if devices is None else len(devices)
    return count


class GatewayName(StrEnum):
    """The three gateways a message can leave by."""

    APNS = "apns"
    FCM = "fcm"
    WNS = "wns"


class Lane(StrEnum):
    """Two queues in one worker: an urgent push never waits behind a bulk one."""

    URGENT = "urgent"
    BULK = "bulk"


class PushState(StrEnum):
    """Where a push is on its way: each state is left once, in this order; the last three stay."""

    #: stored; due now or later, no audience resolved yet
    WAITING = "waiting"
    #: a worker streams its audience into batches; the first ones may be on their way already
    PLANNING = "planning"
    #: every batch is written, some are open
    SENDING = "sending"
    #: every device has its outcome
    DONE = "done"
    #: could not be planned at all (`error` says why); no device was sent anything
    FAILED = "failed"
    #: called off: before its time, or on its way; then the counts tell what got out
    CANCELLED = "cancelled"


class Source(StrEnum):
    """Which door a push came in by."""

    PARSE = "parse"
    V1 = "v1"


class Late(StrEnum):
    """What to do with what is late: a wave that was past when asked for, a push after an outage."""

    SEND = "send"
    SKIP = "skip"


class Halt(StrEnum):
    """What stops a push on its way; a pause can be ended."""

    PAUSE = "pause"
    CANCEL = "cancel"


class OnUnknown(StrEnum):
    """What to do with a message that was written and never answered."""

    RESEND = "resend"
    DROP = "drop"


@dataclass(frozen=True, slots=True, kw_only=True)
class AppSettings:
    """What an app lets callers do who have no master key."""

    #: pushes with the client, JavaScript or Windows key; None refuses them in Parse Server's words
    client_push: bool | None = None
    #: the same with the REST key
    rest_push: bool | None = None
    #: the classes whose objects they may create, change and delete; None for all but Parse's own
    client_writes: frozenset[str] | None = None
    #: IANA name; for devices without a zone, where the service's setting says so
    time_zone: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class App:
    """One tenant: everything else belongs to an app."""

    id: int
    #: the public id, Parse's application id
    application_id: str
    name: str
    settings: AppSettings = AppSettings()


@dataclass(frozen=True, slots=True, kw_only=True)
class Credential:
    """What one gateway wants to see before it takes an app's messages; the secret in clear."""

    id: int
    app_id: int
    gateway: GatewayName
    #: APNs: key_id, team_id, topics, environment; FCM: project_id; WNS: package_sid, tenant
    public: Json
    #: APNs: p8 (PEM); FCM: the service account's JSON; WNS: client secret
    secret: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """A push as asked for at one of our doors, before it is checked."""

    source: Source
    #: {"channels": [...]} | {"where": {...}} | {"devices": [...]}, or {"device_count": n} of a
    #: delivery, whose devices are in its batches; empty: what `audience_id` says
    audience: Json
    #: the request's `data` and the keys beside it that shape the message
    content: Json
    #: as sent: epoch seconds or ISO 8601; None where the key is missing
    push_time: object = None
    expiration_time: object = None
    expiration_interval: object = None
    #: a saved audience, which this push uses
    audience_id: str | None = None
    #: the app lets clients push, and this one does: the content may not have all that others may
    from_client: bool = False
    #: None: by the size of the audience
    lane: Lane | None = None
    on_unknown: OnUnknown = OnUnknown.RESEND
    late: Late = Late.SEND
    #: of a campaign's run
    campaign_id: int | None = None
    rules: Rules | None = None
    #: devices that its messages may go to in a minute; None for as many as there can be
    rate_per_minute: int | None = None
    #: a repeated request with the same key stores no second push
    idempotency_key: str | None = None
    #: the caller's name for what this is a part of
    group_id: str | None = None
    #: tells a repeated request from another one under the same key
    request_hash: bytes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """When a push is due, and until when it may still be sent."""

    #: of a push in local time, the moment that comes first in any zone
    due_at: datetime
    #: of a push in local time, the last one of any zone
    expires_at: datetime | None
    #: both as Parse shows them in _PushStatus
    push_time: str
    expiration_interval: int | None
    #: naive: each device gets the push when its own clock shows this
    local_time: datetime | None = None
    #: IANA name; what devices without a zone go by; None leaves them out
    zoneless: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Push:
    """A push as stored, with how far it has come."""

    id: int
    object_id: str
    app_id: int
    source: Source
    audience: Json
    content: Json
    due_at: datetime
    expires_at: datetime | None
    push_time: str
    expiration_interval: int | None
    lane: Lane
    on_unknown: OnUnknown
    rate_per_minute: int | None = None
    state: PushState
    push_hash: str
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    error: str | None
    #: devices in the batches written so far; the size of the audience once the plan is through
    devices: int
    #: the id of the last installation that is in a batch: where a plan goes on after a crash
    planned_through: int
    batches: int
    #: evidence against tokens that was not acted on, because there was too much of it
    tokens_held: int = 0
    #: naive: each device gets the push when its own clock shows this. `due_at` is then the moment
    #: that is planned next.
    local_time: datetime | None = None
    #: IANA name; what devices without a zone go by; None leaves them out
    zoneless: str | None = None
    late: Late = Late.SEND
    halt: Halt | None = None
    #: for people
    halt_reason: str | None = None
    halted_at: datetime | None = None
    #: of a campaign's run
    campaign_id: int | None = None
    rules: Rules | None = None
    #: of a delivery: the caller's name for what it is a part of
    group_id: str | None = None

    @property
    def names_devices(self) -> bool:
        """Whether its audience is a list of devices; a delivery's is in its batches alone."""
        return device_count(self.audience) is not None

    @property
    def by_zone(self) -> bool:
        """Whether each of its batches has devices of one zone only."""
        return self.local_time is not None or self.rules is not None

    @property
    def is_cancelled(self) -> bool:
        """Whether it was called off; on its way some devices may have no outcome yet."""
        return self.halt is Halt.CANCEL or self.state is PushState.CANCELLED

    @property
    def validate_only(self) -> bool:
        """Whether it is only looked at: nothing is delivered, and no badge changes."""
        return bool(self.content.get("validate_only"))

    def seen_by(self, *, variant: str | None, expires_at: datetime | None) -> "Push":
        """Return the push as a batch has it: with its variant's content, and its own expiry."""
        if variant is None and expires_at is None:
            return self
        contents = {} if self.rules is None else {v.name: v.content for v in self.rules.variants}
        return replace(
            self,
            content=self.content if variant is None else contents.get(variant, self.content),
            expires_at=expires_at or self.expires_at,
        )
