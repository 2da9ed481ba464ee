"""A preview as `/v1` shows it."""

from collections import Counter
from heapq import nlargest
from operator import itemgetter
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field

from pushsvc.api.replies import moment, moment_or_none
from pushsvc.planning.schedule import iso_local
from pushsvc.preview.look import Preview, Waves
from pushsvc.preview.reach import Reach
from pushsvc.preview.variants import Variant

#: Locales shown one by one, those of the most devices.
LOCALES_SHOWN: Final = 100


class Whole(BaseModel):
    """No key but these."""

    model_config = ConfigDict(extra="forbid")


class RequestView(Whole):
    """A request as its gateway gets it, but for `authorization`."""

    method: str
    path: str
    headers: dict[str, str]
    body: Any = Field(description="JSON where the gateway is sent JSON; else the text that is.")


class VariantView(Whole):
    """One form of the message in one choice of texts."""

    platform: str
    form: str
    gateway: str
    locale: str | None = Field(description="The tag of its texts; null for those without one.")
    devices: int = Field(description="How many of the audience get it.")
    example: str | None = Field(
        description="objectId of the installation it is shown for; null where it is none."
    )
    made_up: bool = Field(description="It is shown for a device that is not there.")
    request: RequestView | None
    size_bytes: int | None = Field(
        description="As the gateway counts it; null where it is refused, unless for its size."
    )
    limit_bytes: int = Field(description="How much its gateway takes of such messages.")
    fits: bool | None = Field(
        description="false: too large; null: it is refused for another reason."
    )
    refused: str | None = Field(description="Why this device would get nothing.")


class LocaleView(Whole):
    """The devices of one locale."""

    locale: str | None
    devices: int
    by_platform: dict[str, int]


class AudienceView(Whole):
    """Who is sent to, and who is not."""

    devices: int
    by_platform: dict[str, int]
    by_locale: list[LocaleView] = Field(description="The most frequent, the first of them first.")
    other_locales: int = Field(description="Devices of all other locales.")
    excluded: dict[str, int] = Field(description="Devices that get nothing, by the reason.")


class EstimateView(Whole):
    """How long it would take from its due moment."""

    seconds: float
    messages_per_second: float
    based_on: str = Field(description="Whose recent pushes: `app`, `server`, or `default`.")
    pushes: int


class WavesView(Whole):
    """When a push in local time goes out."""

    local_time: str
    moments: int = Field(description="At so many moments the clocks of some zone show it.")
    first: str
    last: str


class PreviewView(Whole):
    """A push as it would go out now."""

    due_at: str
    expires_at: str | None
    waves: WavesView | None = Field(description="Of a push in local time.")
    audience: AudienceView
    variants: list[VariantView]
    variants_left_out: int
    estimate: EstimateView


def shown(preview: Preview) -> dict[str, Any]:
    """Return a preview as `PreviewView` describes it."""
    estimate = preview.estimate
    return {
        "due_at": moment(preview.due_at),
        "expires_at": moment_or_none(preview.expires_at),
        "waves": preview.waves and _waves(preview.waves),
        "audience": _audience(preview.reach),
        "variants": [_variant(one) for one in preview.variants],
        "variants_left_out": preview.variants_left_out,
        "estimate": {
            "seconds": estimate.seconds,
            "messages_per_second": estimate.messages_per_second,
            "based_on": estimate.based_on,
            "pushes": estimate.pushes,
        },
    }


def _waves(waves: Waves) -> dict[str, Any]:
    return {
        "local_time": iso_local(waves.local_time),
        "moments": waves.moments,
        "first": moment(waves.first),
        "last": moment(waves.last),
    }


def _audience(reach: Reach) -> dict[str, Any]:
    locales = [(name, by_type.total(), by_type) for name, by_type in reach.locales.items()]
    shown_locales = nlargest(LOCALES_SHOWN, locales, key=itemgetter(1))
    return {
        "devices": reach.devices,
        "by_platform": _sorted(reach.by_type),
        "by_locale": [
            {"locale": name, "devices": n, "by_platform": _sorted(by_type)}
            for name, n, by_type in shown_locales
        ],
        "other_locales": reach.devices - sum(n for _, n, _ in shown_locales),
        "excluded": _sorted(reach.excluded),
    }


def _sorted(counted: Counter[str]) -> dict[str, int]:
    return {name: n for name, n in sorted(counted.items()) if n}


def _variant(variant: Variant) -> dict[str, Any]:
    request = variant.request
    return {
        "platform": variant.platform,
        "form": variant.form.value,
        "gateway": variant.gateway.value,
        "locale": variant.locale,
        "devices": variant.devices,
        "example": variant.example,
        "made_up": variant.made_up,
        "request": request
        and {
            "method": request.method,
            "path": request.path,
            "headers": request.headers,
            "body": request.body,
        },
        "size_bytes": variant.size_bytes,
        "limit_bytes": variant.limit_bytes,
        "fits": variant.fits,
        "refused": variant.refused,
    }
