"""`/v1` is as its OpenAPI document says, by requests that schemathesis makes of that document."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
import schemathesis
from schemathesis.engine import events, from_schema
from schemathesis.engine.recorder import ScenarioRecorder

from pushsvc import errors
from pushsvc.config import Settings
from tests.integration.api.parse_fuzz.service import running
from tests.integration.conftest import AppRow

#: For each operation, beside one for each limit and each way to break a rule of its schema.
EXAMPLES = 40
#: Of requests that follow each other: a push is made, then looked at.
WALKS = 10
MOST_SECONDS = 5.0
#: Enough that no phase can have been skipped.
LEAST_REQUESTS = 300
CODES = {
    kind.code
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, errors.CallerError)
}


def config(api_key: str) -> schemathesis.Config:
    """The same requests in every run, good ones and bad ones, judged by all checks but one."""
    return schemathesis.Config.from_dict(
        {
            "seed": 1,
            "headers": {"Authorization": f"Bearer {api_key}"},
            "request-timeout": 2 * MOST_SECONDS,
            "continue-on-failure": True,
            "cache": {"enabled": False},
            "generation": {
                "mode": "all",
                "deterministic": True,
                "max-examples": EXAMPLES,
                "database": "none",
            },
            "phases": {"stateful": {"generation": {"max-examples": WALKS}}},
            "suppress-health-check": ["all"],
            "checks": {
                "max_response_time": MOST_SECONDS,
                # What a push may say is more than a schema can tell: times, queries, cursors.
                "positive_data_acceptance": {"enabled": False},
            },
        }
    )


@pytest.mark.timeout(180)
async def test_v1_keeps_what_its_document_promises(
    settings: Settings, app_row: AppRow, tmp_path: Path
) -> None:
    """No 5xx, documented statuses, content types and bodies, methods told, keys asked for."""
    async with running(settings, tmp_path / "log") as service:
        scenarios = await asyncio.to_thread(_scenarios, service.url, app_row.api_key)
        assert not service.cries()

    flaws = [flaw for one in scenarios for flaw in (*_broken_checks(one), *_broken_errors(one))]
    assert not flaws, "\n\n".join(flaws)
    asked = {one.label for one in scenarios if one.interactions}
    assert "POST /v1/pushes:preview" in asked
    assert asked >= {"POST /v1/pushes", "GET /v1/pushes", "GET /v1/pushes/{push_id}"}
    below = ("outcomes", "report", "devices/{installation}")
    assert asked >= {f"GET /v1/pushes/{{push_id}}/{path}" for path in below}
    assert asked >= {f"{method} /v1/templates/{{name}}" for method in ("PUT", "GET", "DELETE")}
    assert sum(len(one.interactions) for one in scenarios) >= LEAST_REQUESTS


def _scenarios(url: str, api_key: str) -> list[ScenarioRecorder]:
    schema = schemathesis.openapi.from_url(f"{url}/v1/openapi.json", config=config(api_key))
    found = []
    for event in from_schema(schema).execute():
        assert not isinstance(event, events.NonFatalError | events.FatalError), event
        if isinstance(event, events.ScenarioFinished):
            found.append(event.recorder)
    return found


def _broken_checks(scenario: ScenarioRecorder) -> Iterator[str]:
    """Yield what schemathesis itself finds, with the command that shows it."""
    for checks in scenario.checks.values():
        for check in checks:
            if check.failure_info is not None:
                yield f"{check.failure_info.failure!r}\n  {check.failure_info.code_sample}"


def _broken_errors(scenario: ScenarioRecorder) -> Iterator[str]:
    """Yield errors that are none of ours: each is a problem (RFC 9457) with a code of the table."""
    for interaction in scenario.interactions.values():
        answer, asked = interaction.response, interaction.request
        if answer is None:
            yield f"no answer: {asked.method} {asked.uri}"
        elif answer.status_code >= 400 and answer.content and not _is_problem(answer):
            yield f"{asked.method} {asked.uri}: {answer.status_code} {answer.content[:300]!r}"


def _is_problem(answer: Any) -> bool:
    if answer.headers.get("content-type") != ["application/problem+json"]:
        return False
    problem = orjson.loads(answer.content)
    return problem["status"] == answer.status_code < 500 and problem["code"] in CODES
