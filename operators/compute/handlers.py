"""What Compute watches, and what it is made of."""

from __future__ import annotations

from operators.compute.machines import Machines
from operators.contract.compute import COMPUTE_OFFERING, INSTANCE, VIRTUAL_MACHINE
from operators.contract.fabric import HOST, HOST_REPORT, STORAGE_POOL, ZONE
from operators.contract.networking import PORT
from operators.contract.orchestration import FLOW
from operators.contract.storage import DISK_OFFERING, IMAGE, VOLUME
from operators.kernel.component import Component
from operators.kernel.controller import Watch

WATCHED = (
    VIRTUAL_MACHINE,
    INSTANCE,
    COMPUTE_OFFERING,
    VOLUME,
    PORT,
    FLOW,
    HOST,
    HOST_REPORT,
    STORAGE_POOL,
    ZONE,
    DISK_OFFERING,
    IMAGE,
)

COMPONENT = Component(
    name="compute",
    watches=lambda env: [Watch(kind) for kind in WATCHED],
    build=lambda context: [Machines(context)],
)
