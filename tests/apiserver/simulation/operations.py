"""Operations drawn at random: few names and few values, so that they meet."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from operators.contract import names
from operators.contract.codec import Json
from sim.store.server import APPLY, MERGE
from tests.apiserver.simulation.both import Operation

VM, INSTANCE = (names.COMPUTE, "virtualmachines"), (names.COMPUTE, "instances")
VOLUME, NETWORK = (names.STORAGE, "volumes"), (names.NETWORKING, "networks")
ROUTER, LEASE = (names.NETWORKING, "routers"), ("coordination.k8s.io", "leases")
KINDS = {
    VM: (f"{names.COMPUTE}/v1alpha1", "VirtualMachine"),
    INSTANCE: (f"{names.COMPUTE}/v1alpha1", "Instance"),
    VOLUME: (f"{names.STORAGE}/v1alpha1", "Volume"),
    NETWORK: (f"{names.NETWORKING}/v1alpha1", "Network"),
    ROUTER: (f"{names.NETWORKING}/v1alpha1", "Router"),
    LEASE: ("coordination.k8s.io/v1", "Lease"),
}
OWNERS = [{"apiVersion": "v1", "kind": "Node", "name": "n", "uid": uid} for uid in ("u-1", "u-2")]


def some(**choices: SearchStrategy[Any]) -> SearchStrategy[Json]:
    """A mapping with any of the fields."""
    return st.fixed_dictionaries({}, optional=choices)


def one(*values: Any) -> SearchStrategy[Any]:
    """One of some values."""
    return st.sampled_from(values)


SPECS: dict[tuple[str, str], SearchStrategy[Json]] = {
    VM: st.fixed_dictionaries(
        {"offering": one("tiny", "tiny", "small")},
        optional={
            "image": one("tiny", "tiny", "tiny", "-bad-"),
            "rootVolume": one("vol0"),
            "rootDiskSize": one("1Gi", 1073741824, "1Ki", "lots"),
            "runPolicy": one("Running", "Stopped", "Sleeping"),
            "volumes": one([], ["a"], ["a", "b"], ["b", "a"], ["a", "a"]),
            "nics": one(
                [{"network": "net"}],
                [{"network": "net", "ip": "10.1.1.4"}],
                [{"ip": "10.1.1.4"}],
                [{"network": "n", "ip": "10.1.1.400"}],
                [{"network": "n", "mac": "02:00:00:00:00:01"}],
            ),
            "placement": some(host=one("host1", "host2"), zone=one("default")),
            "userData": some(inline=one("#!/bin/sh", "x" * 8193)),
            "rebootRequest": one(0, 1, 2, -1, "1"),
            "haEnabled": st.booleans(),
            "surprise": one(1),
        },
    ),
    INSTANCE: st.fixed_dictionaries(
        {
            "hostName": one("host1", "host1", "host2"),
            "virtualMachine": one({"name": "vm", "uid": "u"}),
            "domain": one("d"),
            "cpus": one(1),
            "memory": one("128Mi"),
        },
        optional={
            "power": one("Running", "Stopped"),
            "startRequest": one(0, 1),
            "disks": one([], [{"disk": "d0", "volume": "v0", "serial": "s"}]),
            "nics": one([], [{"port": "p", "portBinding": "b"}]),
        },
    ),
    VOLUME: some(
        size=one("1Gi", "2Gi", "1024Mi", "1Mi", 5, "3Gix"),
        diskOffering=one("standard", "fast"),
        source=one({}, {"image": "tiny"}, {"image": "a/b"}),
        reclaimPolicy=one("Delete", "Retain", "Recycle"),
        pool=one("local-host1", "shared"),
    ),
    NETWORK: st.fixed_dictionaries(
        {},
        optional={
            "cidr": one("10.1.1.0/24", "10.1.1.0/24", "10.1.1.0/29", "10.1.1.1/24", "10.1.1.0/30", "fd00::/64", "x"),
            "gateway": one("10.1.1.1", "10.2.1.1", "10.1.1.0", "nobody"),
            "dhcpRange": one(
                {"start": "10.1.1.2", "end": "10.1.1.6"},
                {"start": "10.1.1.6", "end": "10.1.1.2"},
                {"start": "10.1.1.2"},
            ),
            "dns": one([], ["9.9.9.9"], ["::1"]),
            "zone": one("default", "east"),
        },
    ),
    ROUTER: st.fixed_dictionaries(
        {
            "hostName": one("host1", "host2"),
            "network": one({"name": "net", "uid": "u"}),
            "segmentId": one(100),
            "netns": one("csr100"),
            "bridge": one("csbr100"),
            "gateway": one("10.1.1.1/24"),
            "domain": one("a.internal"),
        },
        optional={
            "dns": one(["9.9.9.9"]),
            "reservations": one(
                [],
                [{"port": {"name": "p", "uid": "u1"}, "mac": "02:00:00:00:00:01", "ip": "10.1.1.2", "hostname": "a"}],
                [{"port": {"name": "q", "uid": "u2"}, "mac": "02:00:00:00:00:02", "ip": "10.1.1.3", "hostname": "b"}],
            ),
        },
    ),
    LEASE: st.fixed_dictionaries({"holderIdentity": one("me", "you", "")}, optional={"leaseTransitions": one(0, 1)}),
}


def condition(type_: str) -> SearchStrategy[Json]:
    """One entry of `status.conditions`."""
    return st.fixed_dictionaries(
        {
            "type": st.just(type_),
            "status": one("True", "False", "True", "Maybe"),
            "reason": one("AsSpecified", "Provisioning"),
        },
        optional={
            "message": one("a", "b"),
            "lastTransitionTime": one("2030-01-01T00:00:00Z"),
            "observedGeneration": one(1, 2),
        },
    )


STATUSES: dict[tuple[str, str], SearchStrategy[Json]] = {
    VM: some(
        observedGeneration=one(1, 2),
        phase=one("Running"),
        hostName=one("host1", "", "host2"),
        addresses=one(["10.1.1.2"], ["10.1.1.2", "10.1.1.3"]),
        restarts=one(0, 1),
        conditions=st.lists(one("Ready", "Scheduled", "Reconciling", "Stalled").flatmap(condition), min_size=1, max_size=4),
    ),
    INSTANCE: some(power=one("Running", "Stopped"), startObserved=one(0, 1),
                   conditions=st.lists(one("Realised", "Released").flatmap(condition), min_size=1, max_size=2)),
    VOLUME: some(size=one("1Gi", 7), pool=one("p"), conditions=st.lists(one("Bound", "Ready").flatmap(condition), min_size=1, max_size=2)),
    NETWORK: some(segmentId=one(100), ports=one(0, 1), conditions=st.lists(one("SourceNAT", "Ready").flatmap(condition), min_size=1, max_size=2)),
    ROUTER: some(applied=one("x", "y"), conditions=st.lists(one("Programmed").flatmap(condition), min_size=1, max_size=1)),
}  # fmt: skip

METADATA = some(
    labels=one({"a": "1"}, {"a": "2"}, {"a": "1", "b": "1"}),
    annotations=one({"a": "1"}, {"a": "2"}),
    finalizers=one(["x.dev/a"], ["x.dev/a", "x.dev/b"], ["x.dev/b"]),
    ownerReferences=one(OWNERS[:1], OWNERS, OWNERS[1:]),
)
"""Never empty, since the codec leaves out what is empty; a real API server treats empty ones in its own odd way."""
NAMES = one("one", "one", "two")


@st.composite
def operations(draw: st.DrawFn, plurals: tuple[tuple[str, str], ...]) -> Operation:
    """One operation on one of the kinds."""
    plural, name = draw(one(*plurals)), draw(NAMES)
    api_version, kind = KINDS[plural]
    head = {"apiVersion": api_version, "kind": kind}
    what = draw(
        one("create", "apply", "apply", "apply", "status", "status", "merge", "finalize", "delete", "get", "list")
    )
    manager = draw(one("alice", "alice", "bob"))
    guards = draw(one((), (), (), ("resourceVersion",), ("uid",), ("uid", "resourceVersion")))
    stale = draw(one(False, False, False, True))
    force = draw(one(True, True, False))
    match what:
        case "create":
            body = head | {"metadata": {"name": name} | draw(METADATA), "spec": draw(SPECS[plural])}
            return Operation("POST", plural, body=body, manager=manager)
        case "status" if plural in STATUSES:
            body = head | {"metadata": {"name": name}, "status": draw(STATUSES[plural].filter(bool))}
            return Operation("PATCH", plural, name, body, APPLY, "status", manager, guards, stale, force=force)
        case "merge":
            body = {"spec": draw(SPECS[plural])} | draw(one({}, {"metadata": {"labels": {"a": "3"}}}))
            return Operation("PATCH", plural, name, body, MERGE, "", manager, guards, stale)
        case "finalize":
            body = {"metadata": {"finalizers": draw(one([], ["x.dev/a"], ["x.dev/c"], ["x.dev/b", "x.dev/a"]))}}
            return Operation("PATCH", plural, name, body, MERGE, "", manager, ("uid", "resourceVersion"), stale)
        case "delete":
            policy = draw(one("Background", "Background", "Foreground"))
            guards = draw(one((), ("uid",)))
            return Operation("DELETE", plural, name, {"propagationPolicy": policy}, guards=guards, stale=stale)
        case "get":
            return Operation("GET", plural, name)
        case "list":
            return Operation("GET", plural, query=draw(one((), (("labelSelector", "a=1"),), (("fieldSelector", "spec.hostName=host1"),),
                                                           (("labelSelector", "a in (1,2),!b"),))))  # fmt: skip
    body = head | {"metadata": {"name": name} | draw(METADATA), "spec": draw(SPECS[plural])}
    return Operation("PATCH", plural, name, body, APPLY, "", manager, guards, stale, force=force)
