"""What an open of a campaign's run counts under."""

from datetime import UTC, datetime

import pytest

from pushsvc.model import Rules, Variant
from pushsvc.stats.opens import placed
from pushsvc.storage.opens import OpenedRun

RULES = Rules(
    salt=7,
    variants=tuple(
        Variant(name=name, weight=1, content={}, push_hash=push_hash)
        for name, push_hash in (("a", "same"), ("b", "same"), ("c", "other"))
    ),
)


@pytest.mark.parametrize(
    ("push_hash", "installation", "variant", "zone"),
    [
        pytest.param("other", None, "c", "", id="the one with this alert"),
        pytest.param("same", None, "", "", id="one of two with the same alert"),
        pytest.param("", None, "", "", id="no alert told"),
        pytest.param("same", 5, "b", "Asia/Tokyo", id="of a device that is known"),
    ],
)
def test_an_open_counts_under_what_is_sure(
    push_hash: str, installation: int | None, variant: str, zone: str
) -> None:
    """The device says its variant; an alert does where only one variant has it."""
    opened = OpenedRun(
        push_id=1,
        hour=datetime(2026, 11, 22, tzinfo=UTC),
        push_hash=push_hash,
        installation=installation,
        device_type=None,
        zone="Asia/Tokyo",
    )

    found = placed(opened, RULES, lambda _rules, _installation, zone: ("b", zone or ""))

    assert (found.variant, found.zone) == (variant, zone)
