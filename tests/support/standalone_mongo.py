"""A MongoDB that is no replica set, so it has no transactions."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from local.mongod import find_mongod
from local.processes import ChildProcess, free_port


@contextmanager
def standalone_mongo() -> Iterator[str]:
    """Give its address; a client waits until it answers. It is ended at the end."""
    directory = Path(tempfile.mkdtemp(prefix="workflows-standalone-"))
    port = free_port()
    command = [find_mongod(), "--dbpath", str(directory), "--port", str(port), "--nounixsocket"]
    process = ChildProcess("mongodb", command, log_file=directory / "log")
    process.start()
    try:
        yield f"mongodb://127.0.0.1:{port}/"
    finally:
        process.kill()
        shutil.rmtree(directory, ignore_errors=True)
