"""What a Migration's status says."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from operators.compute.migrations.model import Migration, Seen
from operators.contract.migrations import DiskCopy, MigrationStatus, MovedDisk
from operators.contract.reasons import Reason
from operators.kernel.outcome import Done, Outcome, Rejected


def status(migration: Migration, seen: Seen, outcome: Outcome, called_off: str) -> MigrationStatus:
    """All fields but the conditions. What was seen once stays said: the Instances go."""
    uid, before, target = migration.meta.uid, migration.status, seen.target
    over = isinstance(outcome, Done | Rejected)
    said, arrival = seen.departure(uid), seen.arrival(uid)
    fields = replace(
        before,
        phase=_phase(outcome, seen, called_off),
        uid=before.uid or (seen.vm.meta.uid if seen.vm else ""),
        called_off=called_off,
        started_at=before.started_at or (seen.now if target is not None else ""),
        finished_at=seen.now if over else "",
    )
    if target is not None and target.spec.incoming is not None:
        fields = replace(fields, source_host=target.spec.incoming.from_host, target_host=target.spec.host_name)
    if arrival is not None and arrival.disks:
        fields = replace(fields, storage=_storage(arrival.disks))
    if said is not None:
        fields = replace(
            fields,
            progress=max(before.progress, said.progress),
            data_total=said.data_total or before.data_total,
            data_processed=said.data_processed or before.data_processed,
            downtime=said.downtime or before.downtime,
        )
    return replace(fields, progress=100) if isinstance(outcome, Done) else fields


def _storage(disks: Iterable[MovedDisk]) -> str:
    copies = {disk.copy for disk in disks}
    return next((each for each in (DiskCopy.FULL, DiskCopy.INCREMENTAL) if each in copies), DiskCopy.NONE).value


def _phase(outcome: Outcome, seen: Seen, called_off: str) -> str:
    """One word for `kubectl get`; nothing reads it."""
    if isinstance(outcome, Done):
        return "Succeeded"
    if isinstance(outcome, Rejected):
        return "Cancelled" if outcome.reason == Reason.CANCELLED else "Failed"
    if called_off:
        return "Cancelling"
    if seen.target is None:
        return "Pending"
    source = seen.source
    return "Preparing" if source is None or source.spec.outgoing is None else "Moving"
