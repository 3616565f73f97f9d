"""The controller of PlacementPlans: a dry run of scheduling. It reads what the scheduler reads, and makes nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeAlias

from operators.compute import limits
from operators.compute.capacity import Ledger
from operators.compute.model import VM, Seen
from operators.compute.observe import survey
from operators.compute.resolve import missing, need
from operators.compute.scheduler import HostView, Need, Policy, choose, refused, score
from operators.contract.compute import VIRTUAL_MACHINE, VirtualMachineSpec
from operators.contract.meta import Key, Kind, Meta, Obj, condition
from operators.contract.placement import PLACEMENT_PLAN, HostVerdict, PlacementPlanSpec, PlacementPlanStatus
from operators.contract.reasons import Reason, Type
from operators.kernel.clock import parse_stamp
from operators.kernel.controller import Report
from operators.kernel.manager import Context
from operators.kernel.outcome import Done, Outcome, Rejected
from operators.kernel.report import Voice

PlanObj: TypeAlias = Obj[PlacementPlanSpec, PlacementPlanStatus]
MOST_HOSTS = 64
"""Hosts that a status lists, so that an object stays under 10 kB."""
LONGEST = 120
"""Characters of one host's message, for the same reason."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What the plan asks about."""

    plan: PlanObj
    left: float
    """Seconds that the plan is still kept."""
    vm: VM | None
    """The virtual machine as it is or would be; None where there is none of that name."""


@dataclass(frozen=True, slots=True)
class Forget:
    """Delete a plan whose time has passed."""

    plan: PlanObj

    def __str__(self) -> str:
        return str(self.plan.key)


class Placements:
    """Answers every PlacementPlan once, and deletes it when its time has passed."""

    name = "placements"
    kind = PLACEMENT_PLAN
    workers = 2
    voice = Voice()

    def __init__(self, context: Context, ledger: Ledger, policy: Policy, catalogue: str) -> None:
        self._context = context
        self._ledger = ledger
        self._policy = policy
        self._catalogue = catalogue

    def triggers(self) -> Mapping[Kind[Any, Any], Callable[[Any], Iterable[Key]]]:
        """A question is answered as things are; what changes later is another question."""
        return {PLACEMENT_PLAN: lambda plan: (plan.key,)}

    async def observe(self, key: Key) -> tuple[Asked, Seen] | None:
        """What the scheduler would see of the virtual machine just now."""
        plan = self._context.cache.get(PLACEMENT_PLAN, key)
        if plan is None or plan.meta.deleting:
            return None
        asked = Asked(plan, _left(plan, self._context.clock.now()), self._subject(plan))
        if asked.vm is None or _answered(plan):
            return asked, Seen()
        survey_ = survey(asked.vm, self._context.cache, self._ledger, self._catalogue, self._policy)
        return asked, survey_

    def _subject(self, plan: PlanObj) -> VM | None:
        spec = plan.spec
        if spec.virtual_machine:
            return self._context.cache.get(VIRTUAL_MACHINE, Key(plan.meta.namespace, spec.virtual_machine))
        as_it_would_be = VirtualMachineSpec(
            offering=spec.offering,
            image=spec.image,
            root_disk_size=spec.root_disk_size,
            root_disk_offering=spec.root_disk_offering,
            volumes=spec.volumes,
            placement=spec.placement,
            affinity_groups=spec.affinity_groups,
        )
        # Named so that no root disk of a virtual machine is taken for the one that it would get.
        meta = Meta(f"{plan.meta.name}.plan", plan.meta.namespace, plan.meta.uid)
        return Obj(VIRTUAL_MACHINE, meta, as_it_would_be, VIRTUAL_MACHINE.status())

    def plan(self, wanted: Asked, seen: Seen) -> tuple[Sequence[Forget], Outcome]:
        """Answer once; later only wait for the end."""
        plan, vm = wanted.plan, wanted.vm
        if wanted.left <= 0:
            return [Forget(plan)], Done()
        if _answered(plan):
            return [], Done(after=wanted.left)
        if vm is None:
            message = f"there is no VirtualMachine {plan.spec.virtual_machine}: ask about another"
            return [], Rejected(Reason.VIRTUAL_MACHINE_NOT_FOUND, message)
        if (lack := missing(vm, seen)) is not None:
            return [], Rejected(lack.reason, lack.message)
        assert seen.offering is not None
        if much := limits.over(vm, seen.offering, seen.rooms):
            return [], Rejected(Reason.LIMIT_EXCEEDED, much)
        choice = choose(need(vm, seen.offering, seen), seen.hosts, seen.policy)
        if not choice.host:
            return [], Rejected(Reason.NO_HOST_FITS, choice.message)
        return [], Done(Reason.AS_SPECIFIED, f"it would go to host {choice.host}", after=wanted.left)

    async def act(self, action: Forget) -> None:
        """Delete the plan itself."""
        await self._context.store.delete(PLACEMENT_PLAN, action.plan.key, uid=action.plan.meta.uid)

    def report(self, wanted: Asked, seen: Seen, outcome: Outcome) -> Sequence[Report]:
        """Each host with its score, or the filter that refused it."""
        plan, vm = wanted.plan, wanted.vm
        if _answered(plan) or wanted.left <= 0:
            return ()
        hosts: tuple[HostVerdict, ...] = ()
        best = ""
        if vm is not None and seen.offering is not None and missing(vm, seen) is None:
            asks = need(vm, seen.offering, seen)
            hosts = verdicts(asks, seen.hosts, seen.policy)
            best = choose(asks, seen.hosts, seen.policy).host
        fitting = sum(each.fits for each in hosts)
        return (Report(plan, PlacementPlanStatus(host=best, fitting=fitting, hosts=hosts[:MOST_HOSTS])),)


def verdicts(asks: Need, hosts: Iterable[HostView], policy: Policy) -> tuple[HostVerdict, ...]:
    """Every host: the best first, then those that do not fit by name."""
    found = []
    for host in hosts:
        refusal = refused(asks, host)
        if refusal is None:
            found.append(HostVerdict(host.name, fits=True, score=round(100 * score(asks, host, policy))))
        else:
            found.append(HostVerdict(host.name, fits=False, filter=refusal.filter, message=refusal.why[:LONGEST]))
    return tuple(sorted(found, key=lambda each: (not each.fits, -each.score, each.host)))


def _answered(plan: PlanObj) -> bool:
    return condition(plan.status.conditions, Type.READY) is not None


def _left(plan: PlanObj, now: datetime) -> float:
    return plan.spec.time_to_live - (now - parse_stamp(plan.meta.creation_timestamp)).total_seconds()
