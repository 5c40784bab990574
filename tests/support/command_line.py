"""The command `workflows` as a process, as a person or a script would call it."""

import asyncio
import json
import os
import pty
import re
import subprocess
import sys
import termios
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from local.cli.errors import Exit
from tests.support.servers import ROOT
from tests.support.waiting import PATIENCE

COMMAND: Final = str(Path(sys.executable).with_name("workflows"))
_COLOUR: Final = re.compile(r"\x1b\[[0-9;]*m")
_FOR_TERMINALS: Final = ("FORCE_COLOR", "CLICOLOR_FORCE", "TTY_COMPATIBLE", "TTY_INTERACTIVE")


@dataclass(frozen=True)
class Done:
    """What a command left behind."""

    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        return self.out.splitlines()

    @property
    def json(self) -> Any:
        """What it printed for machines: the whole of its output is one JSON document."""
        assert self.err == ""
        return json.loads(self.out)


@dataclass(frozen=True)
class CommandLine:
    """Calls the command with an API of its own; no terminal is attached unless it says so."""

    url: str
    env: Mapping[str, str] = field(default_factory=dict)
    program: tuple[str, ...] = (COMMAND,)

    @property
    def environment(self) -> dict[str, str]:
        inherited = {name: v for name, v in os.environ.items() if name not in _FOR_TERMINALS}
        return {**inherited, "PYTHONPATH": str(ROOT), "WORKFLOWS_API_URL": self.url, **self.env}

    async def __call__(self, *arguments: str, code: Exit = Exit.OK, given: str = "") -> Done:
        """Run it to its end, which must have this exit code; `given` is its standard input."""
        return await asyncio.to_thread(self._run, arguments, code, given)

    async def on_terminal(self, *arguments: str, columns: int = 80) -> str:
        """Run it to its good end on a terminal of this width; returns what it shows there."""
        return await asyncio.to_thread(self._run_on_terminal, arguments, columns)

    def start(self, *arguments: str) -> "subprocess.Popen[str]":
        """Start it and leave it running."""
        return subprocess.Popen(
            [*self.program, *arguments],
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def _run(self, arguments: tuple[str, ...], code: Exit, given: str) -> Done:
        ran = subprocess.run(
            [*self.program, *arguments],
            env=self.environment,
            input=given,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        done = Done(ran.returncode, ran.stdout, ran.stderr)
        assert (done.code, "Traceback" in done.err) == (code, False), done
        assert "\x1b" not in done.out + done.err, done
        return done

    def _run_on_terminal(self, arguments: tuple[str, ...], columns: int) -> str:
        ours, its = pty.openpty()
        termios.tcsetwinsize(its, (50, columns))
        env = {name: v for name, v in self.environment.items() if name != "COLUMNS"}
        ran = subprocess.Popen(
            [*self.program, *arguments],
            env={**env, "TERM": "xterm"},
            stdin=its,
            stdout=its,
            stderr=its,
        )
        os.close(its)
        shown = b""
        # Reading from a terminal whose last process has ended is an error.
        with suppress(OSError), os.fdopen(ours, "rb", buffering=0) as screen:
            while read := screen.read(4096):
                shown += read
        assert ran.wait(timeout=PATIENCE) == Exit.OK, shown
        return _COLOUR.sub("", shown.decode()).replace("\r\n", "\n")
