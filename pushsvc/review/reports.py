"""Reports: of one push, and of the runs of a campaign, as the ledgers have it at one moment."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, TypedDict

from sqlalchemy.ext.asyncio import AsyncEngine

from pushsvc.model import Campaign, Dimension, Push
from pushsvc.resources import Resources
from pushsvc.stats.report import FAILED, Reasoned, Report, build, tallies_of
from pushsvc.storage import campaigns, reports
from pushsvc.storage.campaigns import RunRow
from pushsvc.storage.engine import driver

#: One report adds up no more, unless its first run alone has more: some seconds.
MOST_BATCHES: Final = 20_000


@dataclass(frozen=True, slots=True, kw_only=True)
class PushReport:
    """What came of a push so far."""

    push: Push
    report: Report
    #: by the database's clock
    made_at: datetime
    #: its ledger is older than what is kept: there are only its counts
    ledger_dropped: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class CampaignReport:
    """What came of runs of a campaign so far, those that were skipped among them."""

    campaign: Campaign
    #: newest first
    runs: Sequence[RunRow]
    report: Report
    #: the number of the oldest run of these, where there are older ones
    before: int | None
    made_at: datetime
    #: of a run of these
    ledger_dropped: bool


class _Made(TypedDict):
    """What reports of both kinds have."""

    report: Report
    made_at: datetime
    ledger_dropped: bool


async def of_push(resources: Resources, push: Push) -> PushReport:
    """Return the report of a push."""
    async with resources.finding:
        made = await _added_up(resources.engine, [push.id], of_runs=push.campaign_id is not None)
    return PushReport(push=push, **made)


async def of_campaign(
    resources: Resources, campaign: Campaign, *, before: int | None, limit: int
) -> CampaignReport:
    """Return the report of so many runs of a campaign, newest first, below the number `before`.

    Of fewer where they are large; the next page has the others.
    """
    async with resources.finding:
        async with resources.engine.connect() as connection:
            # One more tells that there are more.
            found = await campaigns.runs_of(connection, campaign.id, before=before, limit=limit + 1)
        runs = within(found[:limit])
        push_ids = [row.push.id for row in runs if row.push]
        made = await _added_up(resources.engine, push_ids, of_runs=True)
    return CampaignReport(
        campaign=campaign,
        runs=runs,
        before=runs[-1].run.number if len(found) > len(runs) else None,
        **made,
    )


def within(rows: Sequence[RunRow]) -> Sequence[RunRow]:
    """Return the first of these runs, at least one, that have so many batches together."""
    batches = 0
    for place, row in enumerate(rows):
        batches += row.push.batches if row.push else 0
        if place and batches > MOST_BATCHES:
            return rows[:place]
    return rows


async def _added_up(engine: AsyncEngine, push_ids: Sequence[int], *, of_runs: bool) -> _Made:
    """Add up these pushes, as they are at one moment."""
    # In between a batch could be finished, and what it has carried on would count twice.
    async with (
        driver(engine) as connection,
        connection.transaction(isolation="repeatable_read", readonly=True),
    ):
        tallies = await reports.tallies(connection, push_ids)
        reasoned = Reasoned()
        for push_id in push_ids:
            async for batch in reports.failed_batches(connection, push_id, FAILED):
                reasoned.add(batch)
        present = {one.value for one in tallies if one.dimension is Dimension.RUN}
        gone = [push_id for push_id in push_ids if push_id not in present]
        counts = await reports.kept_counts(connection, gone)
        opened = await reports.opened(connection, push_ids, dropped=gone)
        made_at = await reports.now(connection)
    for push_id, kept in counts.items():
        tallies += tallies_of(push_id, kept)
    return {
        "report": build(tallies, opened, reasoned, of_runs=of_runs),
        "made_at": made_at,
        "ledger_dropped": any(counts.values()),
    }
