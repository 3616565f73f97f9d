"""What Compute watches, and what it is made of."""

from __future__ import annotations

from collections.abc import Sequence

from operators.compute.capacity import Ledger
from operators.compute.keypairs import KeyPairs
from operators.compute.machines import Machines
from operators.compute.migrations.controller import Migrations
from operators.compute.observe import disk_need
from operators.compute.placements import Placements
from operators.compute.scheduler import Policy
from operators.compute.snapshots.controller import Snapshots
from operators.contract.compute import COMPUTE_OFFERING, VIRTUAL_MACHINE
from operators.contract.fabric import HOST, HOST_REPORT, STORAGE_POOL, ZONE
from operators.contract.instances import INSTANCE
from operators.contract.keypairs import SSH_KEY_PAIR
from operators.contract.migrations import MIGRATION
from operators.contract.networking import PORT
from operators.contract.orchestration import FLOW
from operators.contract.placement import AFFINITY_GROUP, PLACEMENT_PLAN
from operators.contract.snapshots import VOLUME_SNAPSHOT
from operators.contract.storage import DISK_OFFERING, IMAGE, VOLUME
from operators.contract.tenancy import KINDS as TENANCY
from operators.contract.vmsnapshots import VIRTUAL_MACHINE_SNAPSHOT
from operators.kernel.component import Component
from operators.kernel.controller import Watch
from operators.kernel.manager import AnyController, Context

WATCHED = (
    VIRTUAL_MACHINE,
    INSTANCE,
    MIGRATION,
    COMPUTE_OFFERING,
    AFFINITY_GROUP,
    PLACEMENT_PLAN,
    SSH_KEY_PAIR,
    VOLUME,
    PORT,
    FLOW,
    HOST,
    HOST_REPORT,
    STORAGE_POOL,
    ZONE,
    DISK_OFFERING,
    IMAGE,
    VIRTUAL_MACHINE_SNAPSHOT,
    VOLUME_SNAPSHOT,
    *TENANCY,
)


def controllers(context: Context) -> Sequence[AnyController]:
    """All that give out room ask the same scheduler, so they share its ledger."""
    catalogue = context.env.get("CATALOG_NAMESPACE", "")
    policy = Policy(context.env.get("SCHEDULER_POLICY") or Policy.SPREAD)
    ledger = Ledger(context.cache, lambda volume: disk_need(volume, context.cache, catalogue))
    return (
        Machines(context, ledger, policy, catalogue),
        Placements(context, ledger, policy, catalogue),
        Migrations(context, ledger, policy, catalogue),
        Snapshots(context, ledger),
        KeyPairs(context),
    )


COMPONENT = Component(
    name="compute",
    watches=lambda env: [Watch(kind) for kind in WATCHED],
    build=controllers,
)
