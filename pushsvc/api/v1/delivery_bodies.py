"""What `/v1/deliveries` takes: one content, and the devices that get it."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Annotated, Any, Final, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from pushsvc.api.v1.bodies import (
    Address,
    AppIdentifier,
    Badge,
    DeviceType,
    Text,
    Time,
    Token,
    moment_of,
)
from pushsvc.api.v1.submissions import LANES
from pushsvc.bodies import BesideData, Shaping, Strict, read
from pushsvc.errors import CallerError, Fault, InvalidRequestError
from pushsvc.model import DEVICE_COUNT, OnUnknown, Recipient, Source, Submission
from pushsvc.storage.devices import address_of

#: Of one call: its answer is a few hundred kilobytes.
MOST_RECIPIENTS: Final = 5_000
MOST_CHANNELS: Final = 100
#: A proxy's own patience ends at about this.
MOST_WAIT_SECONDS: Final = 60


class NewRecipient(Strict):
    """A device, with all that its message depends on."""

    id: Text | None = Field(
        None, description="Your own name of it: it comes back with the outcome."
    )
    device_type: DeviceType
    push_type: Text | None = Field(None, description="Parse's `pushType`.")
    token: Token | None = None
    channel_uris: Annotated[dict[str, Address], Field(max_length=MOST_CHANNELS)] | None = Field(
        None, description="Of a Windows device, Parse's `channelUris`: it is sent to `_Default`."
    )
    app_identifier: AppIdentifier | None = Field(
        None, description="Of an Apple device the bundle id."
    )
    badge: Badge | None = Field(
        None, description='What `"badge": "Increment"` shows on it; no badge is changed here.'
    )
    locale: Text | None = None
    time_zone: Text | None = None
    registered_at: Annotated[Any, AfterValidator(moment_of)] = Field(
        None,
        description="When you last knew it to have this token: older evidence proves nothing.",
        json_schema_extra={"type": ["string", "null"]},
    )

    @model_validator(mode="after")
    def _has_address(self) -> Self:
        if self.token is None and not self.channel_uris:
            message = "has neither a token nor channel_uris, and so nowhere to send to"
            raise ValueError(message)
        return self


class DeliveryContent(BesideData):
    """What to send, in Parse's form."""

    data: dict[str, Any] | None = Field(None, description="`alert`, `badge`, `sound`, ...")
    template: str | None = Field(None, description="Name of a stored template.")
    priority: Shaping = None


class NewDelivery(Strict):
    """One content for up to 5,000 devices, and how long to wait for what comes of them."""

    content: DeliveryContent
    recipients: Annotated[list[NewRecipient], Field(min_length=1, max_length=MOST_RECIPIENTS)]
    group: Text | None = Field(
        None, description="Your name for what this is a part of, such as Parse's push status."
    )
    expiration_time: Time = Field(
        None, description="Until when it may be sent: ISO 8601 with a zone, or epoch seconds."
    )
    expiration_interval: Time = Field(None, description="The same, in seconds from now.")
    priority: Literal["urgent", "normal"] | None = Field(
        None, description="The lane; left out, a few devices are urgent."
    )
    on_unknown: Literal["resend", "drop"] = Field(
        "resend", description="What to do with a message that was written and never answered."
    )
    wait_seconds: Annotated[float, Field(ge=0, le=MOST_WAIT_SECONDS)] = Field(
        0, description="Answer when every device has its outcome, or after so long."
    )


def parse_new_delivery(body: dict[str, Any]) -> NewDelivery:
    """Return the delivery that is asked for.

    Raises:
        InvalidRequestError: with a pointer to each field at fault.
    """
    recipients = body.get("recipients")
    if isinstance(recipients, list) and len(recipients) > MOST_RECIPIENTS:
        text = f"{len(recipients)} recipients are too many: a delivery has {MOST_RECIPIENTS:,}."
        raise InvalidRequestError([Fault("/recipients", "too_many", text)])
    return read(NewDelivery, body, within=_WITHIN)


_WITHIN: Final[Mapping[str, type[Strict]]] = {
    "content": DeliveryContent,
    "recipients": NewRecipient,
}


@contextmanager
def content_faults_told() -> Iterator[None]:
    """Have what is wrong with the content point to where a delivery has it."""
    try:
        yield
    except CallerError as error:
        if error.field and error.field.lstrip("/").split("/")[0] in DeliveryContent.model_fields:
            error.field = f"/content{error.field}"
        raise


def submission_of(asked: NewDelivery, *, key: str | None, request_hash: bytes) -> Submission:
    """Return the push that a delivery is, but for its devices."""
    given = {name: getattr(asked.content, name) for name in DeliveryContent.model_fields}
    content = {name: value for name, value in given.items() if value is not None}
    return Submission(
        source=Source.V1,
        audience={DEVICE_COUNT: len(asked.recipients)},
        content={"data": {}, **content},
        expiration_time=asked.expiration_time,
        expiration_interval=asked.expiration_interval,
        lane=LANES[asked.priority],
        on_unknown=OnUnknown(asked.on_unknown),
        group_id=asked.group,
        idempotency_key=key,
        request_hash=request_hash,
    )


def recipients_of(asked: NewDelivery) -> list[Recipient]:
    """Return the devices of a delivery, each with the one address that it is sent to."""
    return [
        Recipient(
            id=one.id,
            device_type=one.device_type,
            push_type=one.push_type,
            token=address_of(
                one.device_type, one.push_type, token=one.token, channels=one.channel_uris
            ),
            app_identifier=one.app_identifier,
            locale=one.locale,
            badge=one.badge,
            time_zone=one.time_zone,
            registered_ms=one.registered_at and int(one.registered_at.timestamp() * 1000),
        )
        for one in asked.recipients
    ]
