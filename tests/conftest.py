"""What holds for all tests."""

from hypothesis import HealthCheck, settings

# How fast inputs are made says something of the machine, and nothing of the code.
settings.register_profile("any machine", suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")
