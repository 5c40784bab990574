"""What can go wrong for a caller of the command line, and the exit code that says so."""

from enum import IntEnum


class Exit(IntEnum):
    """Exit codes, so that scripts need not read messages."""

    OK = 0
    NOT_COMPLETED = 1
    """The execution that was waited for failed, was cancelled, or took too long; or
    verifying found something that is not as it was recorded."""
    USAGE = 2
    NOT_FOUND = 3
    REFUSED = 4
    """The present state forbids it: busy, disabled, already ended, changed meanwhile."""
    INVALID = 5
    """The input breaks a rule."""
    UNAVAILABLE = 6
    """The API cannot be reached, is not what answers, or has an error of its own."""


class CommandError(Exception):
    """A message for the person at the terminal, and the exit code for their script.

    `str(error)` is all of it in one line; `headline` and `details` are its lines.
    """

    def __init__(self, headline: str, code: Exit, details: tuple[str, ...] = ()) -> None:
        super().__init__(f"{headline} ({'; '.join(details)})" if details else headline)
        self.headline = headline
        self.code = code
        self.details = details

    def about(self, subject: str) -> "CommandError":
        """Return the same error with its subject in front, such as the file it is about."""
        return CommandError(f"{subject}: {self.headline}", self.code, self.details)
