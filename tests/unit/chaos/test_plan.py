"""What a seed says of a storm: the same every time, and all that a storm must have."""

from collections import Counter

import pytest

from tests.chaos import pushes, storm
from tests.chaos.fleet import Fleet
from tests.chaos.storm import Kind

SEEDS = range(5)
DEVICES, SECONDS = 200_000, storm.NORMAL_SECONDS


@pytest.fixture(scope="module")
def fleet() -> Fleet:
    """The installations of a storm in full size."""
    return Fleet.of(1, 60_000)


def test_a_seed_is_one_storm(fleet: Fleet) -> None:
    """The same seed gives the same devices, pushes and events; another one gives others."""
    one, again, other = (
        (
            pushes.planned(seed, fleet=fleet, devices=DEVICES, seconds=SECONDS),
            storm.events(seed, seconds=SECONDS, workers=3),
        )
        for seed in (1, 1, 2)
    )
    assert Fleet.of(1, 60_000) == fleet
    assert one == again
    assert one[0] != other[0]
    assert one[1] != other[1]


@pytest.mark.parametrize("seed", SEEDS)
def test_pushes_add_up(fleet: Fleet, seed: int) -> None:
    """200,000 live devices and more, sizes from 1 to 50,000, three apps, all doors, all rules."""
    plan = pushes.planned(seed, fleet=fleet, devices=DEVICES, seconds=SECONDS)
    sizes = [push.size for push in plan]
    assert (min(sizes), max(sizes)) == (1, 50_000)
    live = sum(not one.dead for push in plan for one in push.members(fleet))
    assert DEVICES <= live <= 1.1 * DEVICES
    assert {push.app for push in plan} == {0, 1, 2}
    assert {push.door for push in plan} == {"v1", "parse", "delivery"}
    assert {name for push in plan for name in push.audience} == {"channels", "where", "devices"}
    named = [one for push in plan if push.door == "delivery" for one in push.audience["devices"]]
    assert all(one["app_identifier"] for one in named)
    assert [push.at for push in plan] == sorted(push.at for push in plan)
    assert any(push.drop for push in plan)
    assert any(push.due_in for push in plan if not push.urgent)
    assert 90 <= sum(push.due_in is not None for push in plan if push.urgent) <= 150
    assert all(any(push.local for push in plan if push.door == door) for door in ("v1", "parse"))
    assert any(push.cancel_after for push in plan if push.urgent)
    assert any(push.cancel_after for push in plan if not push.urgent)
    assert any(push.pause_after for push in plan if push.urgent)
    assert any(push.pause_after for push in plan if not push.urgent)
    assert any(push.expires_in for push in plan)
    assert len({push.marker for push in plan}) == len(plan)


def test_one_in_twenty_is_dead(fleet: Fleet) -> None:
    """5 % of the tokens are dead, 1 % meet an error the first time."""
    devices = [device for app in fleet.apps for device in app]
    assert sum(device.dead for device in devices) / len(devices) == pytest.approx(0.05, abs=0.005)
    assert len({device.token for device in devices}) == len(devices) == 60_000


@pytest.mark.parametrize("seed", SEEDS)
def test_every_kind_of_event_comes(seed: int) -> None:
    """In full time each kind comes as often as is said, and no kill ends an outage."""
    found = storm.events(seed, seconds=storm.NORMAL_SECONDS, workers=3)
    assert Counter(event.kind for event in found) == storm.TIMES
    (outage,) = [event for event in found if event.kind is Kind.OUTAGE]
    assert outage.seconds == 20
    for event in found:
        if event.kind is Kind.KILL_SIMULATORS:
            assert not outage.at <= event.at < outage.at + outage.seconds
