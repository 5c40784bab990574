"""What an action is told about its execution."""

from shared.ports.actions import ActionContext


def action_context(key: str) -> ActionContext:
    """Return the context of an action with this idempotency key."""
    return ActionContext(
        tenant="default",
        workflow_id="workflow",
        execution_id="execution",
        action_id="action",
        attempt=1,
        input=None,
        idempotency_key=key,
    )
