"""A campaign's preview as `/v1` shows it."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from pushsvc.api.v1 import preview_views
from pushsvc.api.v1.preview_views import EstimateView, VariantView
from pushsvc.campaigns.definition import Definition
from pushsvc.campaigns.looking import Part, Seen


class Whole(BaseModel):
    """No key but these."""

    model_config = ConfigDict(extra="forbid")


class ZoneView(Whole):
    """The devices of one zone."""

    zone: str | None = Field(description="IANA name; null for those without a known one.")
    devices: int


class CampaignAudienceView(Whole):
    """Who would be sent to, were there no variants and no limits."""

    recipients: int = Field(description="All of the audience: what max_recipients is about.")
    devices: int = Field(description="Those of them who can be sent to.")
    by_platform: dict[str, int]
    by_zone: list[ZoneView] = Field(description="Of all recipients; most first.")
    excluded: dict[str, int] = Field(description="Devices that get nothing, by the reason.")


class PartView(Whole):
    """One variant, with its messages."""

    name: str | None = Field(description="null where there is but one content.")
    weight: int
    share: float = Field(description="Of the audience, from 0 to 1.")
    devices: int = Field(description="That share of the devices that can be sent to.")
    excluded: dict[str, int] = Field(description="Devices that this content cannot be sent to.")
    messages: list[VariantView]
    messages_left_out: int


class HoldoutView(Whole):
    """Those who get nothing, to see what the campaign does."""

    weight: int
    share: float
    devices: int


class CampaignEstimateView(EstimateView):
    """How long a run would take."""

    span_seconds: float = Field(
        description="In local time: from the first zone's time to the last one's."
    )


class CampaignPreviewView(Whole):
    """A campaign as its next run would go out."""

    next_runs: list[str]
    audience: CampaignAudienceView
    variants: list[PartView]
    holdout: HoldoutView
    max_recipients: int | None
    confirmation_required: bool = Field(
        description="Creating it needs confirm_recipients: the audience is too large without."
    )
    estimate: CampaignEstimateView


def shown(
    seen: Seen, definition: Definition, *, next_runs: list[str], confirmed: int | None
) -> dict[str, Any]:
    """Return a preview as `CampaignPreviewView` describes it."""
    whole = preview_views.shown(seen.parts[0].preview)
    reached, most = whole["audience"], definition.max_recipients
    return {
        "next_runs": next_runs,
        "audience": {
            "recipients": seen.recipients,
            "devices": reached["devices"],
            "by_platform": reached["by_platform"],
            "by_zone": [{"zone": zone, "devices": n} for zone, n in seen.zones.items()],
            "excluded": reached["excluded"],
        },
        "variants": [_part(one) for one in seen.parts],
        "holdout": {
            "weight": seen.holdout,
            "share": round(seen.holdout_share, 6),
            "devices": round(reached["devices"] * seen.holdout_share),
        },
        "max_recipients": most,
        "confirmation_required": most is not None and seen.recipients > max(most, confirmed or 0),
        "estimate": {**whole["estimate"], "span_seconds": seen.span_seconds},
    }


def _part(part: Part) -> dict[str, Any]:
    told = preview_views.shown(part.preview)
    return {
        "name": part.name,
        "weight": part.weight,
        "share": round(part.share, 6),
        "devices": round(told["audience"]["devices"] * part.share),
        "excluded": told["audience"]["excluded"],
        "messages": told["variants"],
        "messages_left_out": told["variants_left_out"],
    }
