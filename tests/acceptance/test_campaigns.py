"""Campaigns on real processes: what is reported is what the gateways had, device by device."""

import logging

import pytest

from tests.campaigns.run import DIFFERENCES, run
from tests.integration.embedded_fixtures import private_data_directory

pytestmark = pytest.mark.acceptance

logger = logging.getLogger(__name__)

#: `python -m tests.campaigns` has 100,000.
DEVICES = 2_000


async def test_every_line_of_a_report_is_what_the_gateways_had() -> None:
    """With quiet hours, a cap across campaigns, A/B 45/45/10 and 5 % faulty tokens in 40 zones."""
    with private_data_directory() as directory:
        figures = await run(DEVICES, seed=7, waits=False, directory=directory, tell=logger.info)

    assert figures[DIFFERENCES] == 0, figures["examples"]
    sale, rest = figures["campaigns"]["sale"], figures["campaigns"]["rest"]
    assert sale.keys() >= {"ok", "holdout", "quiet_hours", "capped", "no_time_zone", "token_dead"}
    assert rest.keys() >= {"ok", "capped"}
