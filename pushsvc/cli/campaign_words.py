"""A campaign in words and tables, from what the API shows of it. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

import yaml
from cronsim import CronSim
from rich.console import RenderableType

from pushsvc.campaigns.prepare import as_read
from pushsvc.cli.display import cell, table
from pushsvc.model import CampaignState

#: Lines of a table of zones at a terminal: an eye takes in no more, and JSON has all.
ZONES_SHOWN: Final = 15
_RUNS: Final = ("run", "time", "state", "push", "devices", "sent", "failed", "excluded")


def schedule_words(schedule: Mapping[str, Any]) -> str:
    """Return when a campaign runs, as one would say it."""
    parts = [_times(schedule), _clock(schedule)]
    for word, key in (("from", "start"), ("until", "end")):
        if schedule.get(key):
            parts.append(f"{word} {time_cell(schedule[key])}")
    return ", ".join(part for part in parts if part)


def _times(schedule: Mapping[str, Any]) -> str:
    if schedule.get("at"):
        return f"once, at {time_cell(schedule['at'])}"
    if schedule.get("cron"):
        explained = CronSim(schedule["cron"], datetime.now(UTC)).explain()
        return explained[:1].lower() + explained[1:]
    return f"every {schedule['every']}"


def _clock(schedule: Mapping[str, Any]) -> str:
    if schedule.get("local_time"):
        return "by each device's own clock"
    return f"by the clock of {schedule.get('zone') or 'UTC'}" if schedule.get("cron") else ""


def time_cell(at: str | datetime | None) -> str:
    """Return a time as tables show it: UTC, or of each device's clock where it has no zone."""
    if at is None:
        return "-"
    read = datetime.fromisoformat(at) if isinstance(at, str) else at
    if read.tzinfo is None:
        return f"{read:%Y-%m-%d %H:%M:%S} local"
    return cell(read.astimezone(UTC))


def no_times(state: str) -> str:
    """Return why a campaign has no next time."""
    if state == CampaignState.PAUSED:
        return "It is paused: no run starts before it is resumed."
    return "There are no more times."


def times_table(times: Iterable[str], zone: str | None) -> RenderableType:
    """Return the next times by the clock of the schedule and in UTC."""
    read = [datetime.fromisoformat(one) for one in times]
    if not read:
        return no_times(CampaignState.ACTIVE)
    if read[0].tzinfo is None:
        rows = [(f"{one:%a %Y-%m-%d %H:%M:%S}",) for one in read]
        return table(("next times, by each device's clock",), rows)
    if zone is None:
        return table(("next times",), [(f"{one:%a} {time_cell(one)}",) for one in read])
    place = ZoneInfo(zone)
    shown = [(f"{one.astimezone(place):%a %Y-%m-%d %H:%M:%S %z}", time_cell(one)) for one in read]
    return table((f"next times in {place.key}", "UTC"), shown)


def campaigns_table(campaigns: Sequence[Mapping[str, Any]]) -> RenderableType:
    """Return a line for each campaign."""
    rows = [
        (
            one["name"],
            one["state"],
            time_cell(next(iter(one["next_runs"]), None)),
            one["runs"],
            time_cell((one["last_run"] or {}).get("push_time")),
            (one["last_run"] or {}).get("push_id"),
            one["state_reason"],
        )
        for one in campaigns
    ]
    return table(("campaign", "state", "next", "runs", "last run", "push", "reason"), rows)


def campaign_shown(
    campaign: Mapping[str, Any], runs: Sequence[Mapping[str, Any]]
) -> list[RenderableType]:
    """Return the definition first, so that how it stands is where the eye is at the end."""
    definition = campaign["definition"]
    schedule = definition["schedule"]
    facts = [
        ("state", campaign["state"]),
        ("reason", campaign["state_reason"]),
        ("schedule", schedule_words(schedule)),
        ("runs", campaign["runs"]),
        ("created", time_cell(campaign["created_at"])),
        ("updated", time_cell(campaign["updated_at"])),
    ]
    heading = f"campaign {campaign['name']} ({campaign['id']})"
    shown: list[RenderableType] = [
        yaml_text(definition),
        table(("", heading), [fact for fact in facts if fact[1] is not None]),
    ]
    if runs:
        shown.append(runs_table(runs))
    times = campaign["next_runs"]
    following = times_table(times, schedule.get("zone")) if times else no_times(campaign["state"])
    return [*shown, following]


def yaml_text(definition: Mapping[str, Any]) -> str:
    """Return a definition as the file one would write, its keys in the order of the guide."""
    ordered = dict(as_read(definition).as_stored())
    text: str = yaml.safe_dump(ordered, allow_unicode=True, sort_keys=False)
    return text


def runs_table(runs: Sequence[Mapping[str, Any]]) -> RenderableType:
    """Return a line for each run, skipped ones with their reason."""
    return table(_RUNS, [_run_row(one) for one in runs])


def _run_row(run: Mapping[str, Any]) -> Sequence[object]:
    counts = run["counts"]
    sums = counts and (sum(counts.values()), *(counts[c] for c in ("sent", "failed", "excluded")))
    return [
        run["number"],
        time_cell(run["push_time"]),
        f"skipped: {run['reason']}" if run["push_id"] is None else run["push_state"],
        run["push_id"],
        *(sums or [None] * 4),
    ]


def got_out(counts: Mapping[str, int]) -> str:
    """Return what came of a run that was stopped, the outcomes there are."""
    total = sum(counts.values())
    said = ", ".join(f"{n:,} {name.replace('_', ' ')}" for name, n in counts.items() if n)
    return f"Of {total:,} devices: {said}." if total else "Nothing of it was sent."


def waves_table(waves: Sequence[Mapping[str, Any]], *, most: int | None) -> RenderableType:
    """Return the zones of a run by their times, with what came of them so far."""
    kept = waves if most is None else _nearest(waves, most)
    rows = [
        (
            one["zone"] or "(no time zone)",
            time_cell(one["due_at"]),
            one["devices"],
            *(one["counts"][name] for name in ("open", "sent", "failed", "excluded")),
        )
        for one in kept
    ]
    title = f"{len(kept)} of {len(waves)} zones" if len(kept) < len(waves) else ""
    headings = ("time zone", "time", "devices", "open", "sent", "failed", "excluded")
    return table(headings, rows, title=title)


def begun(waves: Sequence[Mapping[str, Any]]) -> int:
    """Return how many zones have had their time: their devices are known."""
    return sum(1 for one in waves if one["devices"])


def _nearest(waves: Sequence[Mapping[str, Any]], most: int) -> Sequence[Mapping[str, Any]]:
    """Return the waves around the one that comes next."""
    first = max(0, min(begun(waves) - most // 2, len(waves) - most))
    return waves[first : first + most]
