"""What is wrong with a cron expression, in words."""

from datetime import date, datetime, time
from typing import Final

from cronsim import CronSim, CronSimError

NICKNAMES: Final = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_FIELDS: Final = (
    ("second", "0-59"),
    ("minute", "0-59"),
    ("hour", "0-23"),
    ("day of the month", "1-31, L (the last day), LW (the last weekday)"),
    ("month", "1-12, JAN-DEC"),
    ("day of the week", "0-7 or SUN-SAT (0 and 7 are Sunday), 5#3 (third Friday), 5L (last)"),
)
_SOME_TIME: Final = datetime.combine(date(2000, 1, 1), time())


def explain(text: str) -> str:
    """Return what is wrong with an expression that was refused."""
    if text.startswith("@"):
        return f"is '{text}', which is not a nickname; there are {', '.join(NICKNAMES)}"
    fields = text.split()
    if len(fields) not in {len(_FIELDS) - 1, len(_FIELDS)}:
        return (
            f"is '{text}', which has {len(fields)} field(s); expected 5 (minute, hour, day of the "
            "month, month, day of the week), 6 with seconds first, or a nickname such as '@daily'"
        )
    for place in range(len(_FIELDS) - len(fields), len(_FIELDS)):
        field = fields[place - len(_FIELDS)]
        if not _is_readable(field, place):
            name, values = _FIELDS[place]
            return (
                f"is '{text}', whose {name} '{field}' is wrong; expected {values}, "
                "or '*', lists (1,2), ranges (1-5) and steps (*/5)"
            )
    return f"is '{text}', which would never fire: there is no such day"


def _is_readable(field: str, place: int) -> bool:
    alone = ["*"] * len(_FIELDS)
    alone[place] = field
    try:
        CronSim(" ".join(alone), _SOME_TIME)
    except CronSimError:
        return False
    return True
