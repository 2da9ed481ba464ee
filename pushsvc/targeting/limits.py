"""The bounds of a where-clause that the settings state."""

from pushsvc.config import Settings
from pushsvc.targeting.asked import Limits


def limits_of(settings: Settings) -> Limits:
    """Return the bounds of every where-clause that a caller sends."""
    return Limits(
        depth=settings.query_depth_limit,
        query_depth=settings.query_subquery_depth_limit,
        values=settings.query_values_limit,
        conditions=settings.query_conditions_limit,
        all_items=settings.query_all_limit,
        pattern_characters=settings.query_pattern_characters_limit,
        patterns=settings.query_patterns_limit,
        places=settings.query_places_limit,
        near_miles=settings.query_near_miles or None,
    )
