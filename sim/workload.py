"""What users do, drawn from the seed: in bursts, over few names so that they meet, with mistakes among it."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any

from operators.contract import names
from sim.store.server import MERGE

COMPUTE, STORAGE, NETWORKING = names.COMPUTE, names.STORAGE, names.NETWORKING


@dataclass(frozen=True)
class Deed:
    """One thing that a user does; a value, so that a shrinker can leave it out."""

    time: float
    what: str
    namespace: str
    name: str
    args: tuple[tuple[str, Any], ...] = ()

    def __str__(self) -> str:
        said = " ".join(f"{key}={value}" for key, value in self.args)
        return f"{self.time:8.3f} user {self.what} {self.namespace}/{self.name} {said}"


@dataclass(frozen=True)
class Size:
    """How much there is to do."""

    deeds: int = 30
    seconds: float = 120.0
    vms: int = 4
    """Names per namespace."""
    bad: float = 0.12
    ruin: float = 0.3
    """How often, beside other deeds, a whole namespace is deleted."""


BAD = ("unknown-offering", "too-big", "unknown-image", "broken-image", "wrong-checksum", "evil-image",
       "unknown-network", "bad-name", "two-roots", "bad-cidr", "shrink", "unknown-volume")  # fmt: skip


POOLS = ("shared", "shared", "local-host1", "nowhere")
"""Where a user may want a Volume: there is not always a shared pool."""


@dataclass
class Users:
    """Draws deeds, remembering roughly what was asked for, so that most of it makes sense."""

    rng: random.Random
    namespaces: tuple[str, ...]
    size: Size
    vms: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)

    def draw(self, start: float) -> list[Deed]:
        """All deeds of a run, in order."""
        rng, out = self.rng, []
        for number, namespace in enumerate(self.namespaces):
            for index in range(2):
                cidr = f"10.{number + 1}.{index + 1}.0/{rng.choice((24, 24, 28, 29))}"
                out.append(Deed(start + rng.uniform(0, 3), "network", namespace, f"net{index}", (("cidr", cidr),)))
            for index in range(2):
                pool = (("pool", rng.choice(POOLS)),) if rng.random() < 0.3 else ()
                out.append(
                    Deed(start + rng.uniform(0, 3), "volume", namespace, f"vol{index}", (("size", "1Gi"), *pool))
                )
        time = start + 4
        while len(out) < self.size.deeds:
            time += rng.expovariate(self.size.deeds / self.size.seconds * 3)
            if time > start + self.size.seconds:
                time = start + rng.uniform(4, self.size.seconds)
            burst = rng.choice((1, 1, 1, 2, 5))
            for _ in range(burst):
                out.append(self._deed(time + rng.uniform(0, 0.2)))
        return sorted(out, key=lambda deed: deed.time)

    def _deed(self, time: float) -> Deed:
        rng = self.rng
        namespace = rng.choice(self.namespaces)
        if rng.random() < self.size.bad:
            return Deed(time, "bad", namespace, f"bad{rng.randrange(3)}", (("how", rng.choice(BAD)),))
        name = f"vm{rng.randrange(self.size.vms)}"
        known = self.vms.get((namespace, name))
        if known is None:
            return self._create(time, namespace, name)
        what = rng.choices(
            ("delete", "stop", "start", "reboot", "volumes", "cancel", "reapply", "delete-volume", "delete-network",
             "guest-ends", "recreate", "network", "volume", "recreate-namespace", "migrate", "stay", "pause", "resume",
             "reset", "snapshot", "unsnapshot", "revert", "restore", "move", "grow"),
            (5, 3, 3, 2, 2, 1, 1, 0.5, 0.5, 1, 2, 0.5, 0.5, self.size.ruin, 4, 0.7, 1.5, 1.5,
             1, 2.5, 1, 0.5, 0.7, 1.5, 0.7),
        )[0]  # fmt: skip
        if what == "delete":
            del self.vms[namespace, name]
        if what in ("stop", "start"):
            known["runPolicy"] = "Stopped" if what == "stop" else "Running"
            return Deed(time, what, namespace, name)
        if what in ("pause", "resume"):
            known["paused"] = what == "pause"
        if what == "reset":
            known["resetRequest"] = known.get("resetRequest", 0) + 1
            return Deed(time, what, namespace, name, (("count", known["resetRequest"]),))
        if what in ("snapshot", "unsnapshot", "revert", "restore", "move", "grow"):
            return self._of_a_volume(time, what, namespace, name)
        if what == "reboot":
            known["rebootRequest"] = known.get("rebootRequest", 0) + 1
            return Deed(time, what, namespace, name, (("count", known["rebootRequest"]),))
        if what == "volumes":
            known["volumes"] = rng.choice(([], ["vol0"], ["vol1"], ["vol0", "vol1"]))
            return Deed(time, what, namespace, name, (("volumes", tuple(known["volumes"])),))
        if what == "reapply":
            return Deed(time, "apply", namespace, name, tuple(known.items()))
        if what == "recreate-namespace":
            self.vms = {key: spec for key, spec in self.vms.items() if key[0] != namespace}
            return Deed(time, what, namespace, "")
        if what in ("delete-volume", "delete-network"):
            return Deed(time, what, namespace, f"{'vol' if what == 'delete-volume' else 'net'}{rng.randrange(2)}")
        if what == "network":
            return Deed(
                time, what, namespace, f"net{rng.randrange(2)}", (("cidr", f"10.{rng.randrange(5, 9)}.0.0/24"),)
            )
        if what == "volume":
            pool = (("pool", rng.choice(POOLS)),) if rng.random() < 0.3 else ()
            return Deed(time, what, namespace, f"vol{rng.randrange(2)}", (("size", "2Gi"), *pool))
        if what == "migrate":
            how = (("storage", rng.choice(("Auto", "Auto", "Full", "Shared"))), ("number", rng.randrange(1 << 20)))
            return Deed(time, what, namespace, name, how)
        if what == "recreate":
            return Deed(time, what, namespace, name, tuple(known.items()))
        return Deed(time, what, namespace, name)

    def _of_a_volume(self, time: float, what: str, namespace: str, vm: str) -> Deed:
        """What is done with the root disk of a machine, or with another Volume."""
        rng = self.rng
        volume = rng.choice((names.root_volume(vm), names.root_volume(vm), "vol0", "vol1"))
        number = rng.randrange(2)
        match what:
            case "snapshot":
                return Deed(time, what, namespace, f"snap{number}", (("volume", volume),))
            case "unsnapshot":
                return Deed(time, what, namespace, f"snap{number}")
            case "revert":
                return Deed(time, what, namespace, f"snap{number}", (("count", rng.randrange(1, 4)),))
            case "restore":
                return Deed(
                    time, what, namespace, f"copy{number}", (("snapshot", f"snap{rng.randrange(2)}"), ("vm", vm))
                )
            case "move":
                return Deed(time, what, namespace, volume, (("pool", rng.choice((*POOLS, "local-host2", ""))),))
        return Deed(time, what, namespace, volume, (("size", rng.choice(("2Gi", "3Gi"))),))

    def _create(self, time: float, namespace: str, name: str) -> Deed:
        rng = self.rng
        spec: dict[str, Any] = {"offering": rng.choice(("tiny", "tiny", "small")), "image": "tiny"}
        nics = rng.choices((0, 1, 2), (1, 6, 2))[0]
        if nics:
            spec["nics"] = [{"network": f"net{rng.randrange(2)}"} for _ in range(nics)]
        if rng.random() < 0.25:
            spec["volumes"] = [f"vol{rng.randrange(2)}"]
        if rng.random() < 0.1:
            spec["runPolicy"] = "Stopped"
        if rng.random() < 0.1:
            spec["placement"] = {"host": f"host{rng.randrange(1, 3)}"}
        if rng.random() < 0.3:
            spec["userData"] = {"inline": "#!/bin/sh\ntrue\n"}
        self.vms[namespace, name] = spec
        return Deed(time, "apply", namespace, name, tuple(spec.items()))


class Doing:
    """Does deeds against a world."""

    def __init__(self, world: Any) -> None:
        self.world = world
        self.away = False
        """Whether the API server is away for users too."""

    def schedule(self, deeds: list[Deed]) -> None:
        """Each at its time."""
        for deed in deeds:
            self.world.loop.at(deed.time, self.world.user, self.do, deed)

    def do(self, deed: Deed) -> None:
        """Do one; while the API server is away the user tries again."""
        if self.away:
            self.world.loop.at(self.world.loop.now + 1.0, self.world.user, self.do, deed)
            return
        method = getattr(self, "_" + deed.what.replace("-", "_"))
        answer = method(deed.namespace, deed.name, dict(deed.args))
        said = answer if answer is None or isinstance(answer, int) else answer[0]
        self.world.trace.add(
            self.world.loop.now, "user", deed.what, f"{deed.namespace}/{deed.name} {dict(deed.args)} → {said}"
        )

    def _network(self, namespace: str, name: str, args: dict[str, Any]) -> Any:
        return self.world.apply(NETWORKING, "networks", name, namespace, {"cidr": args["cidr"]})

    def _volume(self, namespace: str, name: str, args: dict[str, Any]) -> Any:
        return self.world.apply(STORAGE, "volumes", name, namespace, args)

    def _apply(self, namespace: str, name: str, args: dict[str, Any]) -> Any:
        return self.world.apply(COMPUTE, "virtualmachines", name, namespace, args)

    def _delete(self, namespace: str, name: str, args: dict[str, Any]) -> Any:
        return self.world.request(
            "DELETE", COMPUTE, "virtualmachines", name, {"propagationPolicy": "Background"}, namespace=namespace
        )

    def _recreate(self, namespace: str, name: str, args: dict[str, Any]) -> Any:
        """Delete, and apply again and again until the name is free, as a script would."""
        self._delete(namespace, name, args)
        return self._again(namespace, name, args, 60)

    def _again(self, namespace: str, name: str, args: dict[str, Any], tries: int) -> Any:
        world = self.world
        there = world.objects(COMPUTE, "virtualmachines").get((namespace, name))
        if there is None:
            return self._apply(namespace, name, args)
        if tries and there["metadata"].get("deletionTimestamp"):
            world.loop.at(world.loop.now + 2.0, world.user, self._again, namespace, name, args, tries - 1)
        return None

    def _recreate_namespace(self, namespace: str, name: str, args: dict[str, Any]) -> Any:
        """Delete a whole namespace, and make it anew as soon as it is gone."""
        answer = self.world.request("DELETE", "", "namespaces", namespace, {})
        self._namespace_again(namespace)
        return answer

    def _namespace_again(self, namespace: str) -> None:
        world = self.world
        if world.objects("", "namespaces").get(("", namespace)) is not None:
            world.loop.at(world.loop.now + 1.0, world.user, self._namespace_again, namespace)
            return
        world.create("", "namespaces", namespace)
        for index in range(2):
            self._network(namespace, f"net{index}", {"cidr": f"10.9.{index}.0/24"})
        world.trace.add(world.loop.now, "user", "namespace", f"{namespace} is there again")

    def _delete_volume(self, namespace: str, name: str, args: dict[str, Any]) -> Any:
        return self.world.request("DELETE", STORAGE, "volumes", name, {}, namespace=namespace)

    def _delete_network(self, namespace: str, name: str, args: dict[str, Any]) -> Any:
        return self.world.request("DELETE", NETWORKING, "networks", name, {}, namespace=namespace)

    def _patch(self, namespace: str, name: str, spec: dict[str, Any]) -> Any:
        return self.world.request(
            "PATCH", COMPUTE, "virtualmachines", name, {"spec": spec}, namespace=namespace, content=MERGE
        )

    def _stop(self, namespace: str, name: str, args: dict[str, Any]) -> Any:
        return self._patch(namespace, name, {"runPolicy": "Stopped"})

    def _start(self, namespace: str, name: str, args: dict[str, Any]) -> Any:
        return self._patch(namespace, name, {"runPolicy": "Running"})

    def _reboot(self, namespace: str, name: str, args: dict[str, Any]) -> Any:
        return self._patch(namespace, name, {"rebootRequest": args["count"]})

    def _volumes(self, namespace: str, name: str, args: dict[str, Any]) -> Any:
        return self._patch(namespace, name, {"volumes": list(args["volumes"])})

    def _pause(self, namespace: str, name: str, args: dict[str, Any]) -> Any:
        return self._patch(namespace, name, {"paused": True})

    def _resume(self, namespace: str, name: str, args: dict[str, Any]) -> Any:
        return self._patch(namespace, name, {"paused": False})

    def _reset(self, namespace: str, name: str, args: dict[str, Any]) -> Any:
        return self._patch(namespace, name, {"resetRequest": args["count"]})

    def _of_storage(self, plural: str, namespace: str, name: str, spec: dict[str, Any]) -> Any:
        return self.world.request("PATCH", STORAGE, plural, name, {"spec": spec}, namespace=namespace, content=MERGE)

    def _snapshot(self, namespace: str, name: str, args: dict[str, Any]) -> Any:
        return self.world.apply(STORAGE, "volumesnapshots", name, namespace, args)

    def _unsnapshot(self, namespace: str, name: str, args: dict[str, Any]) -> Any:
        return self.world.request("DELETE", STORAGE, "volumesnapshots", name, {}, namespace=namespace)

    def _revert(self, namespace: str, name: str, args: dict[str, Any]) -> Any:
        return self._of_storage("volumesnapshots", namespace, name, {"revertRequest": args["count"]})

    def _restore(self, namespace: str, name: str, args: dict[str, Any]) -> Any:
        """A Volume from a snapshot, for a machine that gets no other."""
        answer = self._volume(namespace, name, {"source": {"snapshot": args["snapshot"]}})
        self._patch(namespace, args["vm"], {"volumes": [name]})
        return answer

    def _move(self, namespace: str, name: str, args: dict[str, Any]) -> Any:
        return self._of_storage("volumes", namespace, name, {"pool": args["pool"] or None})

    def _grow(self, namespace: str, name: str, args: dict[str, Any]) -> Any:
        return self._of_storage("volumes", namespace, name, {"size": args["size"]})

    def _migrate(self, namespace: str, name: str, args: dict[str, Any]) -> Any:
        spec = {"virtualMachine": name, "storage": args["storage"]}
        return self.world.apply(COMPUTE, "migrations", f"{name}-{args['number']}", namespace, spec)

    def _stay(self, namespace: str, name: str, args: dict[str, Any]) -> Any:
        """Cancel or delete whatever Migration of it there is."""
        world = self.world
        for (where, move), obj in sorted(world.objects(COMPUTE, "migrations").items()):
            if where == namespace and obj["spec"]["virtualMachine"] == name:
                if "finishedAt" in obj.get("status", {}):
                    return world.request("DELETE", COMPUTE, "migrations", move, {}, namespace=where)
                body = {"spec": {"cancel": True}}
                return world.request("PATCH", COMPUTE, "migrations", move, body, namespace=where, content=MERGE)
        return None

    def _cancel(self, namespace: str, name: str, args: dict[str, Any]) -> Any:
        """Cancel whatever Flow of it runs."""
        vm = self.world.objects(COMPUTE, "virtualmachines").get((namespace, name))
        for (where, flow), obj in self.world.objects(names.ORCHESTRATION, "flows").items():
            if vm is not None and obj["spec"]["target"]["uid"] == vm["metadata"]["uid"]:
                body = {"spec": {"cancel": True}}
                return self.world.request(
                    "PATCH", names.ORCHESTRATION, "flows", flow, body, namespace=where, content=MERGE
                )
        return None

    def _guest_ends(self, namespace: str, name: str, args: dict[str, Any]) -> Any:
        """The user shuts the guest down from within, or it crashes."""
        vm = self.world.objects(COMPUTE, "virtualmachines").get((namespace, name))
        for host in self.world.hosts.values():
            if vm is not None and vm["metadata"]["uid"] in host.machine.running:
                host.end_guest(vm["metadata"]["uid"], host.rng.choice(("Shutdown", "Crashed")))

    def _bad(self, namespace: str, name: str, args: dict[str, Any]) -> Any:
        """Mistakes: some are refused at the door, the others must end as a condition."""
        good: dict[str, Any] = {"offering": "tiny", "image": "tiny"}
        specs = {
            "unknown-offering": good | {"offering": "gigantic"},
            "too-big": good | {"offering": "huge"},
            "unknown-image": good | {"image": "nothing"},
            "broken-image": good | {"image": "lost"},
            "wrong-checksum": good | {"image": "wrong"},
            "evil-image": good | {"image": "evil"},
            "unknown-network": good | {"nics": [{"network": "nowhere"}]},
            "unknown-volume": good | {"volumes": ["none"]},
            "two-roots": good | {"rootVolume": "vol0"},
        }
        match args["how"]:
            case "bad-name":
                return self._apply(namespace, "Bad_Name", good)
            case "bad-cidr":
                return self._network(namespace, name, {"cidr": "10.1.1.1/33"})
            case "shrink":
                return self._volume(namespace, "vol0", {"size": "1Mi"})
            case how:
                return self._apply(namespace, name, specs[how])
