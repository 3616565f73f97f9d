"""What components write into the API server in memory must be what the CRDs let in."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from operators.contract.codec import Json
from operators.contract.meta import Key, Kind
from operators.kernel.memory import MemoryServer
from tests.support.schema import complaints

COMPONENTS = frozenset(
    {
        *("orchestration", "compute", "storage", "networking", "fabric-admin", "fabric-monitoring"),
        *("agent-hypervisor", "agent-storage", "agent-network", "api"),
    }
)


@pytest.fixture(autouse=True)
def components_write_what_the_crds_let_in(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Fail a test in which a component wrote what a real API server would have refused."""
    wrong: list[str] = []
    change = MemoryServer.change

    def checked(
        self: MemoryServer, manager: str, verb: str, kind: Kind[Any, Any], key: Key, how: Callable[..., Any]
    ) -> Json:
        body = change(self, manager, verb, kind, key, how)
        if manager.split("/")[0] in COMPONENTS:
            wrong.extend(f"{manager}, {verb} of {kind.kind} {key}: {each}" for each in complaints(kind, body))
        return body

    monkeypatch.setattr(MemoryServer, "change", checked)
    yield
    assert not wrong, "\n".join(wrong[:10])
