"""The tables of states in the documents are what the code does."""

from shared.domain.execution import ENDED, ActionStatus
from tests.support import states
from tests.support.walks import steps_of_actions


def test_the_tables_of_decision_11_are_what_the_code_does() -> None:
    document = states.FILE.read_text()
    assert document == states.text(document), "run 'make docs'"
    assert all(f"`{status}`" in document for status in ActionStatus)


def test_no_walk_takes_a_step_that_is_not_in_the_tables() -> None:
    known = states.seen() | set(states.closings())
    changed = {step for step in steps_of_actions() if step.before is not step.after}
    assert changed <= known


def test_what_has_ended_is_not_begun_again_but_by_a_retry_of_the_execution() -> None:
    again = {step for step in states.seen() if step.before in ENDED}
    assert again == set()
