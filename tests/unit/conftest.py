"""How hypothesis runs here: as slowly as the machine may be, and without files left behind.

It draws the same examples each time, so that a change is judged by what it changes.
`make explore` draws others: what that finds becomes a test with a name.
"""

import os
from typing import Final

from hypothesis import HealthCheck, settings

PROFILE: Final = os.environ.get("HYPOTHESIS_PROFILE", "unit")

settings.register_profile(
    "unit",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    database=None,
    max_examples=60,
    derandomize=True,
)
settings.register_profile("explore", settings.get_profile("unit"), derandomize=False)
settings.load_profile(PROFILE)
