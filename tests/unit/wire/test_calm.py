"""A peer that wants calm gets fewer streams, and no new connection at once."""

from h2.errors import ErrorCodes

from pushsvc.delivery.wire.events import Unknown
from pushsvc.delivery.wire.limits import Limits
from pushsvc.delivery.wire.pace import Pace
from tests.unit.wire.played_peer import PlayedPeer, reset, settings


def test_a_reset_for_calm_halves_what_is_open_and_time_gives_it_back() -> None:
    """ENHANCE_YOUR_CALM is doubt about one request, and a word about the rest."""
    peer = PlayedPeer()
    peer.hear(settings(max_concurrent_streams=1_000))
    for key in range(100):
        peer.open(key)
    peer.hear(reset(1, ErrorCodes.ENHANCE_YOUR_CALM))
    assert peer.verdict(0) == Unknown("reset: ENHANCE_YOUR_CALM")
    assert peer.core.allowed == 50
    assert peer.core.room() < 0
    for stream_id in range(3, 201, 2):
        peer.hear(reset(stream_id, ErrorCodes.ENHANCE_YOUR_CALM))
    assert peer.core.allowed == 1
    for _ in range(60):
        peer.core.tick()
    assert peer.core.allowed == 1_000


def test_calm_spaces_connections() -> None:
    """A connection that ends for calm is not replaced at once."""
    pace = Pace(Limits(growth_spacing_seconds=3))
    pace.calm(10.0)
    assert pace.delay(10.0) == 3.0
    assert pace.delay(13.0) == 0.0


def test_a_failure_does_not_shorten_calm() -> None:
    """The longer of two pauses counts."""
    pace = Pace(Limits(growth_spacing_seconds=3))
    pace.calm(10.0)
    pace.failed(10.0, 1.0)
    assert pace.delay(10.0) == 3.0
