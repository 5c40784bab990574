"""When clocks are set, and how often a zone is asked for that."""

from datetime import UTC, datetime, timedelta, tzinfo
from typing import Final

from shared.domain.local_time import clock_shifts
from shared.domain.zones import zone

BERLIN: Final = zone("Europe/Berlin")
SPRING: Final = datetime(2026, 3, 29, 1, tzinfo=UTC)
AUTUMN: Final = datetime(2026, 10, 25, 1, tzinfo=UTC)
NEW_YEAR: Final = datetime(2027, 1, 1, tzinfo=UTC)
HOUR: Final = timedelta(hours=1)
SECOND: Final = timedelta(seconds=1)


class Zone(tzinfo):
    """What Python wants of a zone, and nobody here asks for."""

    def dst(self, dt: datetime | None) -> timedelta | None:
        return None

    def tzname(self, dt: datetime | None) -> str | None:
        return None


class Asked(Zone):
    """A zone that counts how often it is asked for what its clocks show."""

    def __init__(self, same_as: tzinfo) -> None:
        self.same_as = same_as
        self.times = 0

    def utcoffset(self, dt: datetime | None) -> timedelta | None:
        return self.same_as.utcoffset(dt)

    def fromutc(self, dt: datetime) -> datetime:
        self.times += 1
        return self.same_as.fromutc(dt.replace(tzinfo=self.same_as)).replace(tzinfo=self)


class AtNewYear(Zone):
    """A zone whose clocks are set forward as a year begins in Greenwich."""

    def utcoffset(self, dt: datetime | None) -> timedelta | None:
        return None

    def fromutc(self, dt: datetime) -> datetime:
        return dt + (2 * HOUR if dt >= NEW_YEAR.replace(tzinfo=self) else HOUR)


def test_the_shifts_of_a_span_are_those_after_its_begin_and_until_its_end() -> None:
    spring, autumn = clock_shifts(BERLIN, SPRING - SECOND, AUTUMN)
    assert (spring.at, spring.before, spring.after) == (SPRING, HOUR, 2 * HOUR)
    assert (autumn.at, autumn.before, autumn.after) == (AUTUMN, 2 * HOUR, HOUR)
    assert clock_shifts(BERLIN, SPRING, AUTUMN - SECOND) == []


def test_a_shift_at_the_very_turn_of_the_years_is_found_once() -> None:
    (shift,) = clock_shifts(AtNewYear(), NEW_YEAR - 99 * HOUR, NEW_YEAR + 99 * HOUR)
    assert (shift.at, shift.before, shift.after) == (NEW_YEAR, HOUR, 2 * HOUR)
    assert clock_shifts(AtNewYear(), NEW_YEAR - SECOND, NEW_YEAR) == [shift]
    assert clock_shifts(AtNewYear(), NEW_YEAR, NEW_YEAR + HOUR) == []


def test_a_zone_is_asked_for_a_year_once() -> None:
    berlin = Asked(BERLIN)
    first = clock_shifts(berlin, SPRING - HOUR, AUTUMN)
    assert berlin.times > 0
    asked = berlin.times
    assert clock_shifts(berlin, SPRING - 2 * HOUR, AUTUMN + HOUR) == first
    assert berlin.times == asked


def test_a_zone_whose_clocks_are_never_set_is_not_asked() -> None:
    for name in ("UTC", "Etc/GMT+5"):
        fixed = Asked(zone(name))
        assert clock_shifts(fixed, SPRING, AUTUMN) == []
        assert fixed.times == 0
