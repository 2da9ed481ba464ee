"""`pushsvc campaign preview`: a campaign seen before it is made."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from rich.console import RenderableType

from pushsvc.api.v1 import campaign_preview_views
from pushsvc.api.v1.campaign_views import next_times
from pushsvc.campaigns import desk, looking
from pushsvc.cli import campaign_documents as documents, previewing, session
from pushsvc.cli.campaign_files import File, by_line, document_in
from pushsvc.cli.campaign_words import ZONES_SHOWN, schedule_words, times_table
from pushsvc.cli.display import result, table
from pushsvc.cli.options import AppName, Json
from pushsvc.resources import Resources

_HOUR: Final = 3_600


def preview(file: File, *, app_name: AppName, as_json: Json = False) -> None:
    """Show what a run of a campaign would do: to whom, what, when. Nothing is stored or sent."""
    document = document_in(file)
    definition = document.definition

    async def work(resources: Resources) -> dict[str, Any]:
        owner = await documents.owner(resources, app_name)
        now = resources.clock.now()
        with by_line(document):
            first = desk.first_time(definition, now=now, anchor=now)
            seen = await looking.seen(resources, owner, definition, first=first)
        times = next_times(definition, first, now=now, anchor=now)
        return campaign_preview_views.shown(seen, definition, next_runs=times, confirmed=None)

    found = session.run(work)
    schedule = definition.schedule.model_dump(exclude_none=True)
    result({"preview": found}, *_told(found, schedule), as_json=as_json)


def _told(found: Mapping[str, Any], schedule: Mapping[str, Any]) -> list[RenderableType]:
    """Return the requests first, so that the sums stand where the eye is at the end."""
    return [
        *(shown for part in found["variants"] for shown in _messages(part)),
        *_audience(found["audience"]),
        _variants(found),
        times_table(found["next_runs"], schedule.get("zone")),
        f"Schedule: {schedule_words(schedule)}.",
        *_end(found),
    ]


def _messages(part: Mapping[str, Any]) -> Iterator[RenderableType]:
    if part["name"] is not None:
        yield f"variant {part['name']}"
    yield from (previewing.request_told(one) for one in part["messages"] if one["request"])
    yield previewing.variants_table(part["messages"])


def _audience(audience: Mapping[str, Any]) -> Iterator[RenderableType]:
    platforms = [*audience["by_platform"].items(), ("all", audience["devices"])]
    yield table(("platform", "devices"), platforms)
    yield _zones(audience["by_zone"])
    if audience["excluded"]:
        yield table(("excluded for", "devices"), list(audience["excluded"].items()))


def _zones(zones: Sequence[Mapping[str, Any]]) -> RenderableType:
    rows: list[tuple[str, int]] = [
        (one["zone"] or "(no time zone)", one["devices"]) for one in zones[:ZONES_SHOWN]
    ]
    if rest := zones[ZONES_SHOWN:]:
        rows.append((f"{len(rest):,} more", sum(one["devices"] for one in rest)))
    return table(("time zone", "devices"), rows)


def _variants(found: Mapping[str, Any]) -> RenderableType:
    holdout = found["holdout"]
    parts = [*found["variants"], *([{"name": "holdout", **holdout}] if holdout["weight"] else [])]
    rows = [
        (one["name"] or "(one content)", f"{one['share']:.1%}", one["devices"]) for one in parts
    ]
    return table(("variant", "share", "devices, about"), rows)


def _end(found: Mapping[str, Any]) -> Iterator[str]:
    yield previewing.estimate_told(found["estimate"])
    if span := found["estimate"]["span_seconds"]:
        yield f"From the first zone's time to the last one's it is {span / _HOUR:,.1f} hours."
    if found["confirmation_required"]:
        recipients, most = found["audience"]["recipients"], found["max_recipients"]
        yield (
            f"The audience has {recipients:,} devices, and max_recipients is {most:,}: to create "
            f"it, give --confirm-recipients {recipients}."
        )
