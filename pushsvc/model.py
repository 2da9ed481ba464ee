"""The nouns: what every stage speaks of, frozen and without I/O."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum, StrEnum
from typing import Any, Final, NamedTuple

#: JSON as the callers send it and as the tables keep it.
Json = Mapping[str, Any]


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
    #: called off before its time; no device was sent anything
    CANCELLED = "cancelled"


class BatchState(IntEnum):
    """Where a batch is; `LEASED` falls back to `OPEN` when its lease runs out."""

    OPEN = 0
    LEASED = 1
    DONE = 2


class Source(StrEnum):
    """Which door a push came in by."""

    PARSE = "parse"
    V1 = "v1"


class OnUnknown(StrEnum):
    """What to do with a message that was written and never answered."""

    RESEND = "resend"
    DROP = "drop"


class OutcomeClass(IntEnum):
    """What came of one device: the byte the ledger keeps.

    The first ten classes after `OPEN` are the vocabulary of the gateways' answers; the others
    are our own decisions. `CARRIED` is no outcome: the device went on into a follow-up batch.
    """

    OPEN = 0
    OK = 1
    TOKEN_DEAD = 2
    TOKEN_SUSPECT = 3
    REQUEST_BAD = 4
    CREDENTIAL = 5
    THROTTLED_DEVICE = 6
    THROTTLED_SENDER = 7
    RETRY_SAFE = 8
    RETRY_BACKOFF = 9
    UNKNOWN = 10
    EXPIRED = 11
    DEDUPLICATED = 12
    CANCELLED = 13
    CARRIED = 14
    VALIDATED = 15


class Outcome(StrEnum):
    """The word for a device's end that people read; each class has one."""

    SENT = "sent"
    FAILED = "failed"
    UNKNOWN = "unknown"
    EXPIRED = "expired"
    DEDUPLICATED = "deduplicated"
    CANCELLED = "cancelled"
    VALIDATED = "validated"


#: `OPEN` and `CARRIED` have no outcome, and are not counted.
OUTCOME_OF: Final[Mapping[OutcomeClass, Outcome]] = {
    OutcomeClass.OK: Outcome.SENT,
    OutcomeClass.TOKEN_DEAD: Outcome.FAILED,
    OutcomeClass.TOKEN_SUSPECT: Outcome.FAILED,
    OutcomeClass.REQUEST_BAD: Outcome.FAILED,
    OutcomeClass.CREDENTIAL: Outcome.FAILED,
    OutcomeClass.THROTTLED_DEVICE: Outcome.FAILED,
    OutcomeClass.THROTTLED_SENDER: Outcome.FAILED,
    OutcomeClass.RETRY_SAFE: Outcome.FAILED,
    OutcomeClass.RETRY_BACKOFF: Outcome.FAILED,
    OutcomeClass.UNKNOWN: Outcome.UNKNOWN,
    OutcomeClass.EXPIRED: Outcome.EXPIRED,
    OutcomeClass.DEDUPLICATED: Outcome.DEDUPLICATED,
    OutcomeClass.CANCELLED: Outcome.CANCELLED,
    OutcomeClass.VALIDATED: Outcome.VALIDATED,
}


@dataclass(frozen=True, slots=True)
class Answer:
    """What a gateway's answer to one message means.

    Positional, because one is made for every device that was not simply accepted.
    """

    outcome: OutcomeClass
    #: the gateway's own word, or ours where it gave none
    reason: str
    #: seconds to wait before the next attempt, where the gateway named them
    retry_after: float | None = None
    #: when the gateway saw the token become invalid (APNs 410), epoch milliseconds
    invalid_since_ms: int | None = None


#: The answer nearly every message gets; shared, so that success costs no object.
ACCEPTED: Final = Answer(OutcomeClass.OK, "")
#: What it is where the message was only to be looked at.
VALIDATED: Final = Answer(OutcomeClass.VALIDATED, "")


#: Parse's device types that WNS reaches.
WINDOWS_DEVICE_TYPES: Final = frozenset({"dotnet", "winphone", "winrt"})


@dataclass(frozen=True, slots=True)
class Device:
    """Where one message goes and what its shape depends on; `index` is its place in the batch."""

    index: int
    device_type: str
    #: APNs or FCM token, or WNS channel URI
    token: str
    app_identifier: str | None
    locale: str | None
    badge: int | None
    #: Parse's `pushType`, which wins over the device type where it names a way to send
    push_type: str | None = None
    #: values of the installation's fields that the push's texts ask for
    fields: Json | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AppSettings:
    """What an app lets callers do who have no master key."""

    #: pushes with the client, JavaScript or Windows key; None refuses them in Parse Server's words
    client_push: bool | None = None
    #: the same with the REST key
    rest_push: bool | None = None
    #: the classes whose objects they may create, change and delete; None for all but Parse's own
    client_writes: frozenset[str] | None = None


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
    #: {"channels": [...]} | {"where": {...}} | {"devices": [...]}; empty: what `audience_id` says
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
    #: a repeated request with the same key stores no second push
    idempotency_key: str | None = None
    #: tells a repeated request from another one under the same key
    request_hash: bytes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """When a push is due, and until when it may still be sent."""

    due_at: datetime
    expires_at: datetime | None
    #: both as Parse shows them in _PushStatus
    push_time: str
    expiration_interval: int | None


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

    @property
    def validate_only(self) -> bool:
        """Whether it is only looked at: nothing is delivered, and no badge changes."""
        return bool(self.content.get("validate_only"))


#: device type -> class -> devices; `OPEN` and `CARRIED` are not in it
Counts = Mapping[str, Mapping[OutcomeClass, int]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipient:
    """An explicit device of a v1 push that is not an installation of the app."""

    device_type: str
    token: str
    app_identifier: str | None = None
    locale: str | None = None
    badge: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Up to a thousand devices of one push, leased to this worker."""

    push_id: int
    seq: int
    #: empty where the recipients are explicit
    installation_ids: tuple[int, ...]
    recipients: tuple[Recipient, ...]
    attempt: int
    #: leases so far, this one included; more than one means that a worker died on it
    leases: int
    #: by the database's clock
    leased_at: datetime
    #: until the push expires, counted from the lease; None where it never does
    seconds_left: float | None
    #: one OutcomeClass for each device; the plan may have settled some
    outcomes: bytes
    #: installation -> badge after the push's change; empty where the push changes none
    badges: Mapping[int, int]

    @property
    def size(self) -> int:
        """Devices in the batch."""
        return len(self.outcomes)


@dataclass(frozen=True, slots=True, kw_only=True)
class NewBatch:
    """A batch to be written: by the plan, or for devices that must be tried again."""

    installation_ids: Sequence[int] = ()
    recipients: Sequence[Recipient] = ()
    #: None while nothing is settled
    outcomes: bytes | None = None
    attempt: int = 1
    delay_seconds: float = 0.0
    badges_applied: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class BadgeChange:
    """A change to a device's badge before it is sent to: exactly one of the two is set."""

    increment: int | None = None
    absolute: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Retirement:
    """A token that its gateway calls dead, and since when where it says so."""

    installation_id: int
    token: str
    since: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ledger:
    """What came of a batch: written at once or not at all."""

    outcomes: bytes
    counts: Counts
    #: reason -> places in the batch
    exceptions: Mapping[str, Sequence[int]]
    follow_ups: Sequence[NewBatch]
    retirements: Sequence[Retirement]


@dataclass(frozen=True, slots=True, kw_only=True)
class ApnsHead:
    """What all notifications of one push to one app have in common."""

    #: `apns-id` is derived from the push and the device, so that it need not be stored
    push_id: int
    #: the bundle id with the suffix of the push type; chooses the credential, too
    topic: str
    #: the apns- headers in wire form, the topic too; but neither apns-id nor authorization
    headers: tuple[tuple[bytes, bytes], ...]


# Tuples, because a push whose texts hold variables has one for each device.


class ApnsShape(NamedTuple):
    """A notification as APNs takes it; the path is the token's."""

    head: ApnsHead
    body: bytes


class FcmShape(NamedTuple):
    """A message as FCM v1 takes it: the body is `head`, the token as a JSON string, `tail`."""

    head: bytes
    tail: bytes


class WnsShape(NamedTuple):
    """A notification as WNS takes it; the URL is the device's channel URI."""

    headers: tuple[tuple[str, str], ...]
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """A variant that cannot be shaped, a payload over the limit say; its devices fail so."""

    reason: str


Shape = ApnsShape | FcmShape | WnsShape
