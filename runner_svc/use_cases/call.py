"""Making one call: expressions become values, then the action's function runs."""

import asyncio
import traceback
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

import structlog
from pydantic import JsonValue

from runner_svc.registry import ActionRegistry
from shared.domain.catalogue import Effect, is_templated, parameters
from shared.domain.definition import MAX_ITEMS, ActionDefinition
from shared.domain.errors import EvaluationFailed, InvalidInput
from shared.domain.execution import ErrorCategory, Execution
from shared.domain.outcomes import (
    Attempt,
    Call,
    Expanded,
    Failed,
    NotWanted,
    Outcome,
    Succeeded,
    Uncertain,
    WaitsUntil,
)
from shared.domain.plan import Plan
from shared.domain.scope import scope_of
from shared.domain.storable import output_limit, problem_with_output
from shared.domain.templates import render
from shared.ports.actions import ActionContext, ActionError, PermanentError, Until
from shared.ports.clock import Clock
from shared.ports.expressions import ExpressionLanguage

log = structlog.get_logger(__name__)
Items = dict[str, list[JsonValue]]
_NO_ITEM: Final[Mapping[str, JsonValue]] = MappingProxyType({})


class _OutOfTime(Exception):
    """An attempt took longer than the action's timeout."""


@dataclass(frozen=True, slots=True)
class MakeCall:
    """Turns a call into its outcome; nothing that an action does wrong goes further than that."""

    registry: ActionRegistry
    language: ExpressionLanguage
    clock: Clock
    environment: Mapping[str, str] = field(default_factory=dict)

    async def __call__(self, plan: Plan, execution: Execution, call: Call, items: Items) -> Attempt:
        """Make the call; `items` keeps the lists of forEach actions from call to call."""
        started_at = self.clock.now()
        ready = self._prepared(plan, execution, call, items)
        if isinstance(ready, ActionDefinition):
            limit = output_limit(len(plan.actions) * _items_of(execution, call))
            ready = await self._run(execution, call, ready, limit)
        return Attempt(call, started_at, self.clock.now(), ready)

    def needs_intent(self, plan: Plan, execution: Execution, call: Call, items: Items) -> bool:
        """Tell whether the call is really made, and must not be made twice.

        It is not made where it is not wanted, or where its parameters have no values.
        """
        if call.expands or self.registry.effect(call.action) is not Effect.AT_MOST_ONCE:
            return False
        return isinstance(self._prepared(plan, execution, call, items), ActionDefinition)

    def _prepared(
        self, plan: Plan, execution: Execution, call: Call, items: Items
    ) -> ActionDefinition | Outcome:
        """Return the parameters with values for expressions, or what is known without a call."""
        try:
            if not self._is_wanted(plan, execution, call):
                return NotWanted()
            if call.expands:
                return Expanded(len(self._items(plan, execution, call.action, items)))
            return self._parameters(plan, execution, call, items)
        except (EvaluationFailed, InvalidInput, PermanentError) as error:
            return Failed(ErrorCategory.PERMANENT, str(error))

    def _is_wanted(self, plan: Plan, execution: Execution, call: Call) -> bool:
        condition = call.action.when
        if condition is None or call.attempt > 1 or call.index is not None:
            return True
        wanted = render(condition, self._evaluator(plan, execution, call.key))
        if not isinstance(wanted, bool):
            raise PermanentError(f"'when' must be true or false; {condition} is {wanted!r}"[:500])
        return wanted

    def _items(
        self, plan: Plan, execution: Execution, action: ActionDefinition, kept: Items
    ) -> list[JsonValue]:
        if action.key in kept:
            return kept[action.key]
        if action.for_each is None:
            raise ValueError(f"'{action.key}' has no items")
        found = render(action.for_each.items, self._evaluator(plan, execution, action.key))
        if not isinstance(found, list):
            raise PermanentError(f"'forEach.items' must be a list, not {type(found).__name__}")
        if len(found) > MAX_ITEMS:
            raise PermanentError(f"'forEach.items' has {len(found)} items; at most {MAX_ITEMS} run")
        kept[action.key] = found
        return found

    def _parameters(
        self, plan: Plan, execution: Execution, call: Call, items: Items
    ) -> ActionDefinition:
        action = call.action
        self.registry.handler(action)
        if not is_templated(action):
            return action
        item = _NO_ITEM
        if call.index is not None:
            listed = self._items(plan, execution, action, items)
            item = {"item": listed[call.index], "index": call.index}
        values = render(parameters(action), self._evaluator(plan, execution, action.key, item))
        if not isinstance(values, dict):
            raise TypeError("parameters are an object")
        bound: ActionDefinition = self.registry.catalogue.bind(action, values)
        return bound

    def _evaluator(
        self,
        plan: Plan,
        execution: Execution,
        key: str,
        more: Mapping[str, JsonValue] = _NO_ITEM,
    ) -> "Evaluator":
        scope = scope_of(plan, execution, key, self.environment)
        return Evaluator(self.language, {**scope, **more})

    async def _run(
        self, execution: Execution, call: Call, params: ActionDefinition, limit: int
    ) -> Outcome:
        try:
            output = await self._in_time(execution, call, params)
        except ActionError as error:
            return Failed(error.category, str(error), error.retry_after)
        except _OutOfTime as error:
            return self._broken_off(call, str(error))
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            return self._broken_off(call, "the action cancelled itself")
        except Exception as error:  # noqa: BLE001 - any bug of an action is that action's failure
            log.warning(
                "action.raised",
                executionId=execution.id,
                action=call.key,
                trace=traceback.format_exc(),
            )
            return self._broken_off(call, f"{type(error).__name__}: {error}")
        return self._returned(call, output, limit)

    def _returned(self, call: Call, output: JsonValue | Until, limit: int) -> Outcome:
        if isinstance(output, Until):
            return WaitsUntil(output.instant)
        problem = problem_with_output(output, limit)
        if problem is not None:
            return self._broken_off(call, problem, ErrorCategory.OUTPUT_UNSERIALISABLE)
        return Succeeded(output)

    def _broken_off(
        self, call: Call, said: str, category: ErrorCategory = ErrorCategory.RECOVERABLE
    ) -> Outcome:
        """A failure, unless the call must not be repeated: then nobody knows what happened."""
        if self.registry.effect(call.action) is Effect.AT_MOST_ONCE:
            return Uncertain(said)
        return Failed(category, said)

    async def _in_time(
        self, execution: Execution, call: Call, params: ActionDefinition
    ) -> JsonValue | Until:
        handler = self.registry.handler(call.action)
        context = ActionContext(
            tenant=execution.tenant,
            workflow_id=execution.workflow_id,
            execution_id=execution.id,
            action_id=call.action.key,
            attempt=call.attempt,
            input=execution.input,
            idempotency_key=f"{execution.id}:{call.key}",
        )
        timeout = self.registry.catalogue.timeout(call.action)
        if timeout is None:
            return await handler(params, context)
        limit = asyncio.timeout(timeout.total_seconds())
        try:
            async with limit:
                return await handler(params, context)
        except TimeoutError:
            if limit.expired():
                raise _OutOfTime(f"not done within {timeout.total_seconds():g} s") from None
            raise


def _items_of(execution: Execution, call: Call) -> int:
    """Return how many items share what one action may give."""
    parent = execution.actions.get(call.action.key) if call.index is not None else None
    return (parent.items if parent else None) or 1


@dataclass(frozen=True, slots=True)
class Evaluator:
    """Evaluates the expressions of one call, each in the same scope."""

    language: ExpressionLanguage
    scope: Mapping[str, JsonValue]

    def __call__(self, source: str) -> JsonValue:
        """Return the value of one expression. Raises EvaluationFailed."""
        return self.language.compile(source).evaluate(self.scope)
