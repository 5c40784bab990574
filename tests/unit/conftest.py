"""How hypothesis runs here: no deadlines on a busy machine, no files left behind."""

from hypothesis import settings

settings.register_profile("unit", deadline=None, database=None, max_examples=60)
settings.load_profile("unit")
