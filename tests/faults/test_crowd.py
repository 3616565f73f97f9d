"""Killed anywhere while a crowd of machines comes and goes: afterwards no object is left, and nothing was done twice."""

from __future__ import annotations

import random
import threading
from pathlib import Path

import pytest

from operators.contract.compute import VIRTUAL_MACHINE
from operators.contract.instances import INSTANCE
from operators.contract.kinds import HOST_SIDE
from operators.contract.meta import Kind
from operators.contract.networking import CLAIM, NETWORK, PORT
from operators.contract.orchestration import FLOW
from operators.contract.storage import IMAGE_COPY, VOLUME
from tests.apiserver.client import Client
from tests.apiserver.conftest import admin, control_plane
from tests.apiserver.control_plane import ControlPlane
from tests.support.simulated_cloud import SimulatedCloud, simulated_cloud, slowly

VICTIMS = ("orchestration", "compute", "storage", "networking", "simulator")
CROWD = 20
pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
__all__ = ["admin", "control_plane"]


@pytest.mark.parametrize("seed", [1, 2])
def test_nothing_is_left_of_a_crowd_though_everything_was_killed(
    control_plane: ControlPlane, admin: Client, tmp_path: Path, seed: int
) -> None:
    rng = random.Random(seed)
    with simulated_cloud(control_plane, admin, tmp_path, 3) as cloud:
        space = f"crowd-{seed}"
        cloud.namespace(space)
        names = [f"vm{number:02d}" for number in range(CROWD)]
        cloud.deploy(space, names[: CROWD // 2])
        for round_, victim in enumerate(rng.sample(VICTIMS, len(VICTIMS))):
            threading.Event().wait(rng.uniform(0.0, 2.0))
            again(cloud, victim, round_)
            if round_ == 1:
                cloud.deploy(space, names[CROWD // 2 :])
            if round_ == 3:
                for name in names[:5]:
                    admin.delete(VIRTUAL_MACHINE, name, namespace=space)
        cloud.settled(CROWD - 5, space, 300)
        slowly(lambda: len(cloud.all(VIRTUAL_MACHINE, space)) == CROWD - 5, 200, "those that were deleted are gone")
        uids = [INSTANCE.parse(body).spec.virtual_machine.uid for body in cloud.all(INSTANCE, space)]
        assert len(uids) == len(set(uids)) == CROWD - 5
        for name in names[5:]:
            admin.delete(VIRTUAL_MACHINE, name, namespace=space)
        for round_, victim in enumerate(rng.sample(VICTIMS, 2)):
            threading.Event().wait(rng.uniform(0.0, 1.5))
            again(cloud, victim, 10 + round_)
        slowly(lambda: not cloud.all(VIRTUAL_MACHINE, space), 300, "every machine is gone")
        admin.delete(NETWORK, "front", namespace=space)
        swept(cloud, space)


def again(cloud: SimulatedCloud, victim: str, round_: int) -> None:
    """Kill a component at this very moment, and start it anew as its Deployment would."""
    key = next(key for key, room in cloud.rooms.items() if room.name == victim)
    cloud.rooms.pop(key).end()
    cloud.run(victim, f"{victim}-{round_}")


def swept(cloud: SimulatedCloud, space: str) -> None:
    """Nothing is left that was made for anybody: no host-side object, no Port, no root Volume, no claim."""

    def left() -> list[str]:
        kinds: tuple[Kind[object, object], ...] = (
            *(kind for kind in HOST_SIDE if kind.namespaced),
            PORT,
            VOLUME,
            NETWORK,
        )
        found = [f"{kind.kind} {body['metadata']['name']}" for kind in kinds for body in cloud.all(kind, space)]
        found += [f"Claim {body['metadata']['name']}" for body in cloud.all(CLAIM)]
        return [each for each in found if not each.startswith(IMAGE_COPY.kind)]  # they are the Image's, which stays

    try:
        slowly(lambda: not left(), 120, "nothing is left")
    except AssertionError:
        raise AssertionError(f"left over: {left()}") from None
    ended = [FLOW.parse(body).status.state for body in cloud.all(FLOW, space)]
    assert ended
    assert set(ended) <= {"Succeeded", "Cancelled"}, "every Flow came to its end"
