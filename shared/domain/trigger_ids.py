"""What the triggers of a workflow are called: by their author, or by their type."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from shared.domain.triggers import CatchUp, CronTrigger, ForeignTrigger, PeriodicTrigger, Trigger

AnyTrigger = Trigger | ForeignTrigger

_NO_POLICY: Final = {"catch_up": CatchUp.LATEST, "catch_up_window": None, "jitter": None}


def trigger_id(trigger: AnyTrigger) -> str:
    """Return what a trigger is called in ids and answers."""
    return trigger.id or trigger.type


def unchanged(before: Mapping[str, AnyTrigger], after: Mapping[str, AnyTrigger]) -> frozenset[str]:
    """Return the ids under which there is a trigger with the same timetable before and after.

    How it deals with what passed, and by how much a jitter delays it, is another matter.
    """
    return frozenset(
        name for name in before if name in after and _bare(before[name]) == _bare(after[name])
    )


def identified(triggers: Iterable[AnyTrigger]) -> tuple[AnyTrigger, ...]:
    """Give each of several triggers an id of its own if it has none.

    It is its type; from the second of a type on, its number among them follows, as in
    `cron-2`. Raises ValueError naming the ids that are used more than once.
    """
    named = tuple(_identified(triggers))
    times = Counter(map(trigger_id, named))
    twice = sorted(name for name, count in times.items() if count > 1)
    if twice:
        raise ValueError(f"must have different ids; used more than once: {', '.join(twice)}")
    return named


def _identified(triggers: Iterable[AnyTrigger]) -> Iterator[AnyTrigger]:
    alike: Counter[str] = Counter()
    for trigger in triggers:
        alike[trigger.type] += 1
        number = alike[trigger.type]
        name = trigger.type if number == 1 else f"{trigger.type}-{number}"
        yield trigger if trigger.id else trigger.model_copy(update={"id": name})


def _bare(trigger: AnyTrigger) -> AnyTrigger:
    """Return what decides a timetable. A trigger may be named after its type, or be called so."""
    policy = _NO_POLICY if isinstance(trigger, PeriodicTrigger | CronTrigger) else {}
    return trigger.model_copy(update={"id": None, **policy})
