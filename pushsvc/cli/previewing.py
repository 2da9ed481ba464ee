"""`pushsvc push preview`: a push seen before it is sent."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import RenderableType

from pushsvc import pipeline
from pushsvc.api.v1 import preview_views
from pushsvc.cli import composing, session
from pushsvc.cli.display import result, table
from pushsvc.cli.options import AppName, Json
from pushsvc.preview.look import Preview
from pushsvc.resources import Resources


@composing.of_a_push
def preview(
    body: dict[str, Any],
    /,
    *,
    app_name: AppName,
    as_json: Json = False,
) -> None:
    """Show what a push would send, to how many, and for how long. Nothing is stored or sent."""

    async def work(resources: Resources) -> Preview:
        async with resources.engine.connect() as connection:
            owner = await session.app(connection, app_name)
        limit = resources.settings.explicit_devices_limit
        submission = composing.submission(body, devices_limit=limit)
        return await pipeline.preview_push(resources, owner, submission)

    found = preview_views.shown(session.run(work))
    result({"preview": found}, *_told(found), as_json=as_json)


def _told(found: Mapping[str, Any]) -> list[RenderableType]:
    """Return the requests first, so that the sums stand where the eye is at the end."""
    requests = [request_told(one) for one in found["variants"] if one["request"]]
    return [
        *requests,
        variants_table(found["variants"]),
        *_audience(found["audience"]),
        _end(found),
    ]


def request_told(variant: Mapping[str, Any]) -> str:
    """Return a request in full, as a gateway gets it."""
    request = variant["request"]
    body = request["body"]
    text = body if isinstance(body, str) else json.dumps(body, indent=2, ensure_ascii=False)
    headers = [f"{name}: {value}" for name, value in request["headers"].items()]
    title = f"{variant['platform']} by {variant['gateway']}, {variant['locale'] or 'default'} texts"
    return "\n".join([title, f"{request['method']} {request['path']}", *headers, "", text, ""])


def variants_table(variants: Sequence[Mapping[str, Any]]) -> RenderableType:
    """Return the messages with their sizes, those that fit and those that do not."""
    rows = [
        (
            one["platform"],
            one["gateway"],
            one["locale"] or "default",
            one["devices"],
            f"{one['size_bytes'] or '-'}/{one['limit_bytes']}",
            one["refused"] or "fits",
            "made up" if one["made_up"] else one["example"],
        )
        for one in variants
    ]
    return table(("platform", "gateway", "texts", "devices", "bytes", "", "shown for"), rows)


def _audience(audience: Mapping[str, Any]) -> list[RenderableType]:
    shown: list[RenderableType] = [
        table(
            ("platform", "devices"),
            [*audience["by_platform"].items(), ("all", audience["devices"])],
        )
    ]
    locales = [(one["locale"] or "none", one["devices"]) for one in audience["by_locale"]]
    if audience["other_locales"]:
        locales.append(("others", audience["other_locales"]))
    if locales:
        shown.append(table(("locale", "devices"), locales))
    if audience["excluded"]:
        shown.append(table(("excluded for", "devices"), list(audience["excluded"].items())))
    return shown


def _end(found: Mapping[str, Any]) -> str:
    left = found["variants_left_out"]
    more = f" {left:,} variants are not shown." if left else ""
    if waves := found["waves"]:
        more += (
            f" In local time, {waves['local_time']}: at {waves['moments']} moments from "
            f"{waves['first']} to {waves['last']}."
        )
    return estimate_told(found["estimate"]) + more


def estimate_told(estimate: Mapping[str, Any]) -> str:
    """Return how long it would take, and how one knows."""
    source = {
        "app": f"by {estimate['pushes']} recent push(es) of this app",
        "server": f"by {estimate['pushes']} recent push(es) of this server",
        "default": "a guess: there are no recent pushes to go by",
    }[estimate["based_on"]]
    pace = f"{estimate['messages_per_second']:,.0f} messages/s"
    return f"It would take about {estimate['seconds']:,.1f} s at {pace}, {source}."
