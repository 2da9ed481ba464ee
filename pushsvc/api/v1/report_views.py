"""Reports as `/v1` shows them; their other forms are made of the same document."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field

from pushsvc.api.replies import moment, moment_or_none
from pushsvc.model import (
    CampaignState,
    Dimension,
    OutcomeClass,
    PushState,
    RunState,
    SkipReason,
    Value,
)
from pushsvc.review.reports import CampaignReport, PushReport
from pushsvc.stats import tally
from pushsvc.stats.report import Line, Report
from pushsvc.storage.campaigns import RunRow

#: What a report is by, beside the runs of a campaign.
BY: Final = (Dimension.VARIANT, Dimension.PLATFORM, Dimension.ZONE, Dimension.HOUR)


class Closed(BaseModel):
    """No key but these."""

    model_config = ConfigDict(extra="forbid")


class FiguresView(Closed):
    """Devices by what came of them."""

    audience: int
    #: without an outcome so far
    open: int
    sent: int
    failed: int
    unknown: int
    expired: int
    deduplicated: int
    cancelled: int
    validated: int
    excluded: int
    #: rule that left them out -> devices
    excluded_by: dict[str, int]
    failed_by_class: dict[str, int]
    #: null where failures cannot be told apart by it
    failed_by_reason: dict[str, int] | None
    possible_duplicates: int
    #: null where they cannot be told apart by it
    opens: int | None
    #: opens for each message sent; of an hour, for each one sent at all
    open_rate: float | None


class LineView(FiguresView):
    """The same for one value of what the report is by."""

    #: null where it is not known
    value: str | None


class RunLineView(Closed):
    """A time of a campaign that came."""

    number: int
    push_time: str
    state: RunState
    reason: SkipReason | None
    created_at: str
    push_id: str | None
    push_state: PushState | None
    #: null of a run that was skipped, or is older than what is kept
    figures: FiguresView | None


class FailureView(Closed):
    """Why devices failed."""

    #: the gateway's word, or ours; empty where there is none
    reason: str
    class_: str = Field(alias="class")
    devices: int


class ReportedPushView(Closed):
    """The push of a report."""

    id: str
    state: PushState
    due_at: str
    started_at: str | None
    finished_at: str | None
    error: str | None


class ReportedCampaignView(Closed):
    """The campaign of a report."""

    id: str
    name: str
    state: CampaignState


class _ReportView(Closed):
    """What reports of both kinds have."""

    made_at: str
    #: the outcomes of single devices are older than what is kept: only their counts are there
    ledger_dropped: bool
    total: FiguresView
    by_variant: list[LineView]
    by_platform: list[LineView]
    by_zone: list[LineView]
    by_hour: list[LineView]
    failures: list[FailureView]


class PushReportView(_ReportView):
    """What came of a push so far."""

    push: ReportedPushView


class CampaignReportView(_ReportView):
    """What came of some runs of a campaign so far, newest first; the figures are theirs."""

    campaign: ReportedCampaignView
    runs: list[RunLineView]
    next_cursor: str | None


def push_document(found: PushReport) -> dict[str, Any]:
    """Return a report as `PushReportView` describes it."""
    push = found.push
    return {
        "push": {
            "id": push.object_id,
            "state": push.state.value,
            "due_at": moment(push.due_at),
            "started_at": moment_or_none(push.started_at),
            "finished_at": moment_or_none(push.finished_at),
            "error": push.error,
        },
        **_document(found.report, made_at=found.made_at, ledger_dropped=found.ledger_dropped),
    }


def campaign_document(found: CampaignReport, *, next_cursor: str | None) -> dict[str, Any]:
    """Return a report as `CampaignReportView` describes it."""
    campaign, lines = found.campaign, found.report.by[Dimension.RUN]
    figures = {line.value: _figures(line) for line in lines}
    return {
        "campaign": {
            "id": campaign.object_id,
            "name": campaign.name,
            "state": campaign.state.value,
        },
        "runs": [_run(row, figures) for row in found.runs],
        **_document(found.report, made_at=found.made_at, ledger_dropped=found.ledger_dropped),
        "next_cursor": next_cursor,
    }


def _run(row: RunRow, figures: Mapping[Value, dict[str, Any]]) -> dict[str, Any]:
    run, push = row.run, row.push
    return {
        "number": run.number,
        "push_time": run.push_time,
        "state": run.state.value,
        "reason": run.reason and run.reason.value,
        "created_at": moment(run.created_at),
        "push_id": push and push.object_id,
        "push_state": push and push.state.value,
        "figures": figures.get(push.id) if push else None,
    }


def _document(report: Report, *, made_at: datetime, ledger_dropped: bool) -> dict[str, Any]:
    by = {f"by_{one.value}": _lines(report.by[one]) for one in BY}
    failures = [
        {"reason": one.reason, "class": _class(one.outcome), "devices": one.devices}
        for one in report.failures
    ]
    return {
        "made_at": moment(made_at),
        "ledger_dropped": ledger_dropped,
        "total": _figures(report.total),
        **by,
        "failures": failures,
    }


def _lines(lines: Sequence[Line]) -> list[dict[str, Any]]:
    return [{"value": _value(line.value), **_figures(line)} for line in lines]


def _value(value: Value) -> str | None:
    if isinstance(value, datetime):
        return moment(value)
    return None if value is None else str(value)


def _figures(line: Line) -> dict[str, Any]:
    return {
        "audience": line.audience,
        "open": line.open,
        **{outcome.value: n for outcome, n in line.outcomes.items()},
        "excluded_by": {_class(one): n for one, n in line.excluded.items()},
        "failed_by_class": {_class(one): n for one, n in line.failed.items()},
        "failed_by_reason": line.reasons,
        "possible_duplicates": tally.possible_duplicates(line.classes),
        "opens": line.opens,
        "open_rate": None if line.open_rate is None else round(line.open_rate, 6),
    }


def _class(outcome: OutcomeClass) -> str:
    return outcome.name.lower()
