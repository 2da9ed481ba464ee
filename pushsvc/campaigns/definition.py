"""What a campaign is, as a file and `/v1/campaigns` say it: the schema, and its faults."""

from collections.abc import Mapping
from datetime import time
from typing import Annotated, Any, Final, Literal
from zoneinfo import ZoneInfo

from pydantic import Field, model_validator

from pushsvc.bodies import MOST_PER_MINUTE, BesideData, Strict, read
from pushsvc.campaigns.values import (
    WEIGHT_MOST,
    Channels,
    Clock,
    Cron,
    Duration,
    Moment,
    Name,
    Share,
    VariantName,
    Weight,
    Word,
    Zone,
    moment_of,
    read_time,
)
from pushsvc.errors import Fault, InvalidRequestError
from pushsvc.model import Json, QuietHours, QuietThen
from pushsvc.planning.schedule import LONGEST

#: Far more than can be told apart in a report.
VARIANTS_MOST: Final = 20


class Group(Strict):
    """Installations: exactly one of `channels`, `where` and `audience`."""

    channels: Channels | None = Field(
        None, description='Subscribed to one of these; "" is the broadcast channel.'
    )
    where: dict[str, Any] | None = Field(
        None, description="A Parse query over installations; {} is everyone."
    )
    audience: Word | None = Field(None, description="objectId or name of a saved audience.")

    @model_validator(mode="after")
    def _one(self) -> "Group":
        given = [name for name in _GROUPS if getattr(self, name) is not None]
        if len(given) != 1:
            names = f"{' and '.join(given)} exclude each other" if given else "there is none"
            message = f"needs exactly one of channels, where and audience; {names}"
            raise ValueError(message)
        return self


_GROUPS: Final = ("channels", "where", "audience")


class Audience(Group):
    """Who is sent to, and who of them is not."""

    exclude: Group | None = Field(None, description="Those of the audience who get nothing.")


class Content(BesideData):
    """What is sent, with the keys of a push: `data`, or a `template`."""

    template: Word | None = Field(None, description="Name of a stored template.")
    data: dict[str, Any] | None = Field(None, description="`alert`, `badge`, `sound`, ...")

    def given(self) -> dict[str, Any]:
        """Return the keys that say something."""
        found = self.model_dump(exclude_unset=True)
        return {key: value for key, value in found.items() if value is not None}


class Variant(Strict):
    """One of several contents."""

    name: VariantName
    weight: Weight = Field(description="Its share is this over the sum of all weights.")
    content: Content = Field(
        default_factory=Content,
        description="Keys that replace those of the campaign's content.",
    )


class Times(Strict):
    """When it runs: exactly one of `at`, `cron` and `every`."""

    at: str | None = Field(None, description="Once: a time with its zone, or with `local_time`.")
    cron: Cron | None = Field(
        None, description="minute hour day month weekday, by the clock of `zone`."
    )
    every: Duration | None = Field(None, description="Again after so long: `90s`, `12h`, `1d`.")
    zone: Zone | None = Field(None, description="IANA name; UTC if left out.")
    local_time: bool = Field(default=False, description="By the clock of each device.")
    start: Moment | None = Field(None, description="No run before this.")
    end: Moment | None = Field(None, description="No run from this on.")

    @model_validator(mode="after")
    def _sound(self) -> "Times":
        given = [name for name in ("at", "cron", "every") if getattr(self, name) is not None]
        if len(given) != 1:
            names = f"{' and '.join(given)} exclude each other" if given else "there is none"
            message = f"needs exactly one of at, cron and every; {names}"
            raise ValueError(message)
        if self.start and self.end and moment_of(self.start) >= moment_of(self.end):
            message = "start must lie before end"
            raise ValueError(message)
        if flaw := _flaw_of_clock(self) or (self.at is not None and _flaw_of_at(self)):
            raise ValueError(flaw)
        return self


def _flaw_of_clock(times: Times) -> str | None:
    if times.local_time and times.every is not None:
        return "an interval has no wall time: with local_time use at or cron"
    if times.local_time and times.zone is not None:
        return "zone and local_time exclude each other: each device has its own zone"
    if times.every is not None and times.zone is not None:
        return "zone means nothing beside every: it goes with at and cron"
    return None


def _flaw_of_at(times: Times) -> str | None:
    assert times.at is not None
    try:
        is_zoned = read_time(times.at).tzinfo is not None
    except ValueError as error:
        return f"at: {error}"
    flaws = {
        "start and end mean nothing beside at": bool(times.start or times.end),
        "at has a zone, which excludes local_time": is_zoned and times.local_time,
        "at has an offset, which excludes zone": is_zoned and times.zone is not None,
        "at needs a zone: end it in Z or an offset such as +02:00, or set zone or local_time": not (
            is_zoned or times.zone or times.local_time
        ),
    }
    return next((flaw for flaw, is_so in flaws.items() if is_so), None)


class Quiet(Strict):
    """Hours of each device's clock in which it gets nothing."""

    start: Clock
    end: Clock
    then: Literal["defer", "drop"] = Field(
        "defer", description="Wait until they are over, or do not send at all."
    )

    @model_validator(mode="after")
    def _some(self) -> "Quiet":
        if self.start == self.end:
            message = "start and end must differ"
            raise ValueError(message)
        return self

    def hours(self) -> QuietHours:
        """Return them as a run has them."""
        return QuietHours(
            start=time.fromisoformat(self.start),
            end=time.fromisoformat(self.end),
            then=QuietThen(self.then),
        )


class Cap(Strict):
    """How many messages of all campaigns a device may get."""

    count: Annotated[int, Field(ge=1, le=1_000_000)]
    per: Duration


class Pause(Strict):
    """When a run is to pause by itself."""

    failed_share: Share | None = Field(None, description="More failures than this, of those tried.")
    invalid_share: Share | None = Field(None, description="More dead or suspected tokens.")
    after_devices: Annotated[int, Field(ge=1, le=10**12)] = Field(
        1_000, description="Devices tried before a share says anything."
    )

    @model_validator(mode="after")
    def _some(self) -> "Pause":
        if self.failed_share is None and self.invalid_share is None:
            message = "needs failed_share or invalid_share"
            raise ValueError(message)
        return self


class Definition(Strict):
    """A campaign: who gets what, when, and within which limits."""

    name: Name
    audience: Audience
    content: Content | None = Field(None, description="Required unless each variant has its own.")
    variants: Annotated[list[Variant], Field(max_length=VARIANTS_MOST)] = Field(
        default_factory=list
    )
    holdout: Annotated[int, Field(ge=0, le=WEIGHT_MOST)] = Field(
        0, description="Weight of those who get nothing; without variants, of a hundred."
    )
    schedule: Times
    expiration_interval: Annotated[int, Field(ge=1, le=int(LONGEST.total_seconds()))] | None = (
        Field(None, description="Seconds from each run's time, in local time from each zone's.")
    )
    priority: Literal["urgent", "normal"] = "normal"
    on_unknown: Literal["resend", "drop"] = "resend"
    rate_per_minute: Annotated[int, Field(ge=1, le=MOST_PER_MINUTE)] | None = None
    quiet_hours: Quiet | None = None
    cap: Cap | None = None
    max_recipients: Annotated[int, Field(ge=1, le=10**12)] | None = Field(
        None, description="A larger audience must be confirmed."
    )
    pause_when: Pause | None = None
    late: Literal["send", "skip"] = Field(
        "skip", description="What to do with a time that nobody was there to start."
    )
    overlap: Literal["skip", "queue"] = Field(
        "skip", description="What to do with a time while the run before is under way."
    )

    def as_stored(self) -> Json:
        """Return it as it was asked for."""
        found: Json = self.model_dump(mode="json", exclude_unset=True, exclude_none=True)
        return found


#: The models below a definition, by the key that leads to them.
_WITHIN: Final[Mapping[str, type[Strict]]] = {
    "audience": Audience,
    "exclude": Group,
    "content": Content,
    "variants": Variant,
    "schedule": Times,
    "quiet_hours": Quiet,
    "cap": Cap,
    "pause_when": Pause,
}


def parse_definition(body: Mapping[str, Any]) -> Definition:
    """Return the campaign that a body defines.

    Raises:
        InvalidRequestError: with a pointer to each field at fault.
    """
    found = read(Definition, body, within=_WITHIN)
    faults = [*_flaws_of_contents(found), *_flaws_of_weights(found)]
    if faults:
        raise InvalidRequestError(faults)
    return found


def _flaws_of_contents(definition: Definition) -> list[Fault]:
    if definition.content is None and not definition.variants:
        text = "/content is missing: a campaign has content, or variants with their own."
        return [Fault("/content", "missing_key", text)]
    if definition.audience.exclude and definition.audience.exclude.where == {}:
        pointer = "/audience/exclude/where"
        text = f"{pointer}: an empty query is everyone, and nobody would be left."
        return [Fault(pointer, "invalid_value", text)]
    return []


def _flaws_of_weights(definition: Definition) -> list[Fault]:
    names = [variant.name for variant in definition.variants]
    faults = [
        Fault(f"/variants/{place}/name", "invalid_value", f'There are two variants "{name}".')
        for place, name in enumerate(names)
        if name in names[:place]
    ]
    if not names and definition.holdout >= 100:  # noqa: PLR2004 - per cent
        text = "/holdout: without variants it is of a hundred, and must leave somebody."
        faults.append(Fault("/holdout", "invalid_value", text))
    return faults


def zone_of(times: Times) -> ZoneInfo:
    """Return the zone whose clock a schedule goes by."""
    return ZoneInfo(times.zone or "UTC")
