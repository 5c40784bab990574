"""How hypothesis runs here: as slowly as the machine may be, and without files left behind."""

from hypothesis import HealthCheck, settings

settings.register_profile(
    "unit",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    database=None,
    max_examples=60,
)
settings.load_profile("unit")
