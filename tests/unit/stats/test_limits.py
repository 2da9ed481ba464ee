"""When a run has failed too much."""

import pytest

from pushsvc.model import OutcomeClass as C, PauseWhen
from pushsvc.stats.limits import passed

RULE = PauseWhen(failed_share=0.2, invalid_share=0.1, after_devices=100)


@pytest.mark.parametrize(
    ("classes", "told"),
    [
        pytest.param({}, None, id="nothing yet"),
        pytest.param({C.RETRY_BACKOFF: 99}, None, id="too few tried"),
        pytest.param({C.OK: 80, C.REQUEST_BAD: 20}, None, id="at the limit"),
        pytest.param(
            {C.OK: 79, C.REQUEST_BAD: 21},
            "21 of the first 100 devices failed, which is 21.0% and more than 20.0%.",
            id="past it",
        ),
        pytest.param(
            {C.OK: 88, C.TOKEN_DEAD: 6, C.TOKEN_SUSPECT: 6},
            "12 of the first 100 devices had invalid tokens, which is 12.0% and more than 10.0%.",
            id="tokens",
        ),
        pytest.param(
            {C.OK: 50, C.CREDENTIAL: 49, C.EXPIRED: 900, C.CANCELLED: 9, C.HOLDOUT: 9, C.RESENT: 9},
            None,
            id="who was not sent to says nothing",
        ),
        pytest.param({C.OK: 50, C.UNKNOWN: 50}, None, id="doubt is no failure"),
    ],
)
def test_a_share_past_its_limit_is_told(classes: dict[C, int], told: str | None) -> None:
    """With its figures; of so many at least that were tried."""
    assert passed(RULE, classes) == told


def test_a_limit_that_is_not_there_is_never_passed() -> None:
    """Each of the two can be left out."""
    only = PauseWhen(failed_share=None, invalid_share=None, after_devices=1)

    assert passed(only, {C.TOKEN_DEAD: 100}) is None
