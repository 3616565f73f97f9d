"""What must hold in every run: the list, in one place. The modules hold what each means.

`AT_EVERY_WRITE` are looked at with each change of an object, `AT_EVERY_START` with each start of a guest,
`AT_EVERY_REMOVAL` with each file that is removed: they must hold whatever is broken just then. `IN_THE_END` must hold
within bounded time once nothing is broken any more, and then stay. Each says what is wrong, in a sentence, or nothing.
What processes owe the API server in each request is in `sim/manners.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from sim.hosts.filesystem import Node
from sim.hosts.host import Host
from sim.invariants import authority, convergence, copies, guests, leftovers, networks, owners, tenancy, truth
from sim.invariants.words import OF, AtWrite, Complaints

if TYPE_CHECKING:
    from sim.run import Run

AT_EVERY_WRITE: tuple[AtWrite, ...] = (
    authority.nobody_writes_a_users_spec,
    authority.agents_write_only_status_of_their_own,
    authority.a_flow_ends_once,
    authority.quota_holds,
    owners.an_address_has_one_owner,
    owners.a_binding_has_its_own_address,
    owners.a_segment_has_one_network,
    owners.a_path_has_one_disk,
    owners.a_vm_has_one_instance,
    owners.a_nic_has_one_port,
    owners.no_binding_goes_under_a_guest,
    owners.an_address_is_freed_after_its_device,
    owners.a_volume_has_one_vm,
    owners.capacity_is_not_exceeded,
    guests.no_disk_goes_under_a_guest,
    truth.power_was_observed,
    truth.files_were_observed,
    truth.rules_were_observed,
    truth.ready_means_running,
    copies.a_machine_is_taken_at_one_moment,
    copies.a_machine_goes_back_as_a_whole,
    copies.a_backup_holds_what_its_snapshot_holds,
    copies.a_restored_disk_holds_what_its_backup_holds,
    tenancy.limits_are_never_exceeded,
)

AT_EVERY_REMOVAL: tuple[Callable[[Run, Host, Node, str], Complaints], ...] = (guests.no_file_goes_under_a_guest,)

WHEN_A_GUEST_GOES_ON: tuple[Callable[[Run, Host, str], Complaints], ...] = (
    guests.one_copy_runs,
    guests.one_writer_per_disk,
)

AT_EVERY_START: tuple[Callable[[Run, Host, str], Complaints], ...] = (
    guests.one_copy_runs,
    guests.one_writer_per_disk,
    guests.a_start_is_done_once,
    guests.somebody_wants_it,
    guests.no_host_is_overfull,
    guests.it_has_one_root_disk,
    copies.nothing_starts_half_gone_back,
    copies.what_a_guest_remembers_is_on_its_disks,
)

IN_THE_END: tuple[Callable[[Run], Complaints], ...] = (
    convergence.migrations_have_ended,
    convergence.hosts_are_up,
    convergence.vms_are_as_specified,
    convergence.statuses_are_up_to_date,
    convergence.deleted_means_gone,
    convergence.copies_are_made,
    leftovers.nothing_is_left_over,
    leftovers.hosts_hold_only_what_is_known,
    leftovers.one_root_disk_is_kept,
    leftovers.the_store_holds_only_backups,
    copies.backups_can_be_restored,
    networks.networks_work,
    networks.guests_have_the_nics_they_ask_for,
    networks.guests_are_held_to_their_rates,
    convergence.flows_have_ended,
    convergence.reservations_are_complete,
    tenancy.jobs_have_ended,
    tenancy.nothing_is_deployed_twice,
    tenancy.caches_are_up_to_date,
    tenancy.history_is_complete,
)


def at_write_of(plural: str) -> tuple[AtWrite, ...]:
    """The invariants to look at when an object of that resource was written."""
    if _CHOSEN.get(plural, (None, ()))[0] is not AT_EVERY_WRITE:
        chosen = tuple(each for each in AT_EVERY_WRITE if plural in OF.get(each.__name__, (plural,)))
        _CHOSEN[plural] = AT_EVERY_WRITE, chosen
    return _CHOSEN[plural][1]


_CHOSEN: dict[str, tuple[tuple[AtWrite, ...], tuple[AtWrite, ...]]] = {}
"""By resource, of which list they were chosen, and those."""
