"""What the all-in-one says on a machine that its servers do not run on."""

from pathlib import Path

import pytest

from local import broker, mongod
from local.broker import EmbeddedBroker
from local.mongod import EmbeddedMongo
from local.processes import free_port
from shared.domain.errors import Misconfigured


def test_without_a_broker_for_this_system_the_cure_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(broker, "mesh", None)
    monkeypatch.setattr("platform.machine", lambda: "riscv64")
    with pytest.raises(Misconfigured, match="riscv64") as refused:
        EmbeddedBroker(tmp_path, free_port()).start()
    assert "./start-deps.sh" in str(refused.value)
    assert "KAFKA_BOOTSTRAP_SERVERS" in str(refused.value)


@pytest.mark.parametrize("bundled", [True, False])
def test_without_a_mongod_that_runs_here_the_cure_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, bundled: bool
) -> None:
    monkeypatch.setattr(mongod, "_bundled", lambda: "/bin/false" if bundled else None)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(
        Misconfigured, match="OpenSSL 3" if bundled else "none is bundled"
    ) as refused:
        EmbeddedMongo(tmp_path, free_port()).start()
    assert "./start-deps.sh" in str(refused.value)
    assert "MONGODB_URI" in str(refused.value)
