"""The actions that touch nothing outside: `delay`, `transform` and `fail`."""

from pydantic import JsonValue

from shared.domain.actions import DELAY, FAIL, TRANSFORM, DelayAction, FailAction, TransformAction
from shared.domain.execution import ErrorCategory
from shared.domain.instants import instant
from shared.ports.actions import Action, ActionContext, ActionError, Until
from shared.ports.clock import Clock


class Delayer:
    """Runs `delay`: says until when; the execution waits without a runner."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    async def run(self, params: DelayAction, _: ActionContext) -> Until:
        """Return the instant at which the action completes by itself."""
        if params.until is not None:
            return Until(instant(params.until))
        if params.duration is None:
            raise ValueError("a delay has a duration or an instant")
        return Until(self._clock.now() + params.duration)


async def transform(params: TransformAction, _: ActionContext) -> JsonValue:
    """Return the value; its expressions were evaluated on the way here."""
    return params.value


async def fail(params: FailAction, _: ActionContext) -> JsonValue:
    """Raise the error that was asked for."""
    raise ActionError(params.message, category=ErrorCategory(params.category))


def flow_actions(clock: Clock) -> list[Action]:
    """Return the three actions, the first of which needs to know the time."""
    return [
        Action.of(DELAY, Delayer(clock).run),
        Action.of(TRANSFORM, transform),
        Action.of(FAIL, fail),
    ]
