"""The limits of queries hold where a caller's clause is read, and not for what was accepted."""

from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import insert

from pushsvc import pipeline
from pushsvc.errors import InvalidQueryError
from pushsvc.model import PushState, Source, Submission
from pushsvc.resources import Resources
from pushsvc.storage import pushes, tables
from tests.integration.conftest import AppRow

pytestmark = pytest.mark.integration

WHERE = {"plan": "pro", "tags": {"$all": ["a", "b"]}, "$or": [{"k": {"$gt": 1}}, {"k": None}]}


def submission(audience: dict[str, Any]) -> Submission:
    return Submission(source=Source.V1, audience=audience, content={"data": {"alert": "x"}})


def limited(resources: Resources, **limits: int) -> Resources:
    return replace(resources, settings=resources.settings.model_copy(update=limits))


@pytest.mark.parametrize(
    ("limits", "text"),
    [
        pytest.param({"query_values_limit": 3}, "Too many values: at most 3.", id="values"),
        pytest.param(
            {"query_conditions_limit": 10}, "Too many conditions: at most 10.", id="conditions"
        ),
        pytest.param({"query_all_limit": 1}, r"\$all takes at most 1 values.", id="$all"),
        pytest.param({"query_depth_limit": 0}, "maximum allowed depth of 0", id="depth"),
    ],
)
async def test_a_push_over_a_limit_is_refused(
    resources: Resources, app_row: AppRow, limits: dict[str, int], text: str
) -> None:
    """Before it is stored, with code 102."""
    with pytest.raises(InvalidQueryError, match=text) as caught:
        await pipeline.submit_push(
            limited(resources, **limits), app_row.app, submission({"where": WHERE})
        )
    assert caught.value.parse_number == 102


async def test_so_many_channels(resources: Resources, app_row: AppRow) -> None:
    """As many as values, with Parse's code of channels."""
    few = limited(resources, query_values_limit=2)
    await pipeline.submit_push(few, app_row.app, submission({"channels": ["a", "b"]}))
    with pytest.raises(InvalidQueryError, match="Too many channels: at most 2") as caught:
        await pipeline.submit_push(few, app_row.app, submission({"channels": ["a", "b", "c"]}))
    assert caught.value.parse_number == 134


async def test_an_accepted_push_is_planned_under_narrower_limits(
    resources: Resources, app_row: AppRow
) -> None:
    """Whatever the limits are when it is due: nothing accepted is lost."""
    row = {"app_id": app_row.app.id, "object_id": "o1", "device_type": "ios", "device_token": "t"}
    custom = {"plan": "pro", "tags": ["a", "b", "c"], "k": 2}
    async with resources.engine.begin() as connection:
        await connection.execute(insert(tables.installations).values(**row, custom=custom))
    stored = await pipeline.submit_push(resources, app_row.app, submission({"where": WHERE}))

    none = limited(
        resources,
        query_values_limit=0,
        query_conditions_limit=0,
        query_all_limit=0,
        query_depth_limit=0,
    )
    await pipeline.plan_push(none, stored.push.id)

    async with resources.engine.connect() as connection:
        push = await pushes.get_push(connection, stored.push.id)
    assert (push.state, push.devices) == (PushState.SENDING, 1)
