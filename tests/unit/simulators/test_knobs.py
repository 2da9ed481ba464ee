"""Knobs are turned by name, each with a value of its kind."""

import pytest

from pushsvc.simulators import KnobError, Knobs, turn


def test_turned() -> None:
    """Numbers, truth and ranges are read; what is not named stays as it is."""
    assert turn(
        ["latency_seconds=0.1,0.2", "fcm_messages_per_minute=600", "apns_sandbox=true"]
    ) == Knobs(latency_seconds=(0.1, 0.2), fcm_messages_per_minute=600, apns_sandbox=True)


@pytest.mark.parametrize(
    "setting", ["speed=1", "fcm_streams", "fcm_streams=x", "apns_sandbox=1", "latency_seconds=1"]
)
def test_not_turned(setting: str) -> None:
    """A knob that is not there, or a value that is none, is named."""
    with pytest.raises(KnobError, match=setting.partition("=")[0]):
        turn([setting])
