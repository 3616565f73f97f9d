"""Does what users are to do, by the requests that they would make."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from operators.contract import names
from sim.store.server import MERGE
from sim.workload import Deed

COMPUTE, STORAGE, NETWORKING = names.COMPUTE, names.STORAGE, names.NETWORKING


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
        if deed.what.startswith("call-"):
            self.world.callers.do(deed.what, deed.namespace, deed.name, dict(deed.args))
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

    def _nics(self, namespace: str, name: str, args: dict[str, Any]) -> Any:
        return self._patch(namespace, name, {"nics": args["nics"]})

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

    def _machine_snapshot(self, method: str, namespace: str, name: str, body: dict[str, Any], **more: Any) -> Any:
        return self.world.request(method, COMPUTE, "virtualmachinesnapshots", name, body, namespace=namespace, **more)

    def _vm_snapshot(self, namespace: str, name: str, args: dict[str, Any]) -> Any:
        return self.world.apply(COMPUTE, "virtualmachinesnapshots", name, namespace, args)

    def _vm_unsnapshot(self, namespace: str, name: str, args: dict[str, Any]) -> Any:
        return self._machine_snapshot("DELETE", namespace, name, {})

    def _vm_revert(self, namespace: str, name: str, args: dict[str, Any]) -> Any:
        """Ask for it, most often while the machine is off, and start that again before anybody says that it is done."""
        body = {"spec": {"revertRequest": args["count"]}}
        if not args["stops"]:
            return self._machine_snapshot("PATCH", namespace, name, body, content=MERGE)
        self._later(4.0, lambda: self._machine_snapshot("PATCH", namespace, name, body, content=MERGE))
        self._later(4.0 + args["again"], lambda: self._start(namespace, args["vm"], {}))
        return self._stop(namespace, args["vm"], {})

    def _later(self, seconds: float, do: Callable[[], Any]) -> None:
        """Do something in a while; while the API server is away the user tries again."""
        world = self.world

        def due() -> None:
            if self.away:
                self._later(1.0, do)
            else:
                do()

        world.loop.at(world.loop.now + seconds, world.user, due)

    def _reinstall(self, namespace: str, name: str, args: dict[str, Any]) -> Any:
        return self._patch(namespace, name, {"reinstallRequest": args["count"], "image": args["image"]})

    def _password(self, namespace: str, name: str, args: dict[str, Any]) -> Any:
        return self._patch(namespace, name, {"passwordRequest": args["count"]})

    def _image(self, namespace: str, name: str, args: dict[str, Any]) -> Any:
        return self.world.apply(STORAGE, "images", name, namespace, {"source": args})

    def _unimage(self, namespace: str, name: str, args: dict[str, Any]) -> Any:
        return self.world.request("DELETE", STORAGE, "images", name, {}, namespace=namespace)

    def _backup(self, namespace: str, name: str, args: dict[str, Any]) -> Any:
        """A snapshot, and its backup; the snapshot may go once that is there, or before."""
        snapshot = f"for-{name}"
        self._snapshot(namespace, snapshot, {"volume": args["volume"]})
        self._later(20.0, lambda: self._unsnapshot(namespace, snapshot, {}))
        spec = {"snapshot": snapshot, "imageStore": "vault"}
        return self.world.apply(STORAGE, "volumebackups", name, namespace, spec)

    def _unbackup(self, namespace: str, name: str, args: dict[str, Any]) -> Any:
        return self.world.request("DELETE", STORAGE, "volumebackups", name, {}, namespace=namespace)

    def _restore_backup(self, namespace: str, name: str, args: dict[str, Any]) -> Any:
        """A Volume from a backup, for a machine that gets no other."""
        answer = self._volume(namespace, name, {"source": {"backup": args["backup"]}})
        self._patch(namespace, args["vm"], {"volumes": [name]})
        return answer

    def _schedule(self, namespace: str, name: str, args: dict[str, Any]) -> Any:
        """One that is due at once, or in a minute or two."""
        spec = {"volume": args["volume"], "hourly": {"minute": args["minute"], "keep": args["keep"]}}
        return self.world.apply(STORAGE, "snapshotschedules", name, namespace, spec)

    def _unschedule(self, namespace: str, name: str, args: dict[str, Any]) -> Any:
        return self.world.request("DELETE", STORAGE, "snapshotschedules", name, {}, namespace=namespace)

    def _rate(self, namespace: str, name: str, args: dict[str, Any]) -> Any:
        """The operator of the cloud limits an offering."""
        body = {"spec": {"networkRate": args["rate"]}}
        return self.world.request("PATCH", COMPUTE, "computeofferings", name, body, content=MERGE)

    def _insert(self, namespace: str, name: str, args: dict[str, Any]) -> Any:
        """Put a CD into the drive; it is made from an ISO image if there is none yet."""
        self._volume(namespace, args["volume"], {"source": {"image": "cd"}})
        return self._patch(namespace, name, {"cdrom": args["volume"]})

    def _eject(self, namespace: str, name: str, args: dict[str, Any]) -> Any:
        return self._patch(namespace, name, {"cdrom": None})

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
