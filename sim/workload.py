"""What users are to do, drawn from the seed: in bursts, over few names so that they meet, with mistakes among it."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any

from operators.contract import names


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


MORE = {
    "vm-snapshot": 2.5, "vm-unsnapshot": 0.7, "vm-revert": 1.5, "reinstall": 1.5, "password": 1.0, "image": 1.2,
    "unimage": 0.5, "backup": 1.5, "unbackup": 0.5, "restore-backup": 1.0, "schedule": 0.7, "unschedule": 0.2,
    "rate": 0.5, "insert": 1.0, "eject": 0.7, "nics": 3.0,
}  # fmt: skip
"""Further deeds, and how often each is done beside the others."""
STORIES = 0.6
"""How many runs have one of these."""
STORY: dict[str, tuple[tuple[float, str], ...]] = {
    "a machine goes back": ((1, "volumes"), (4, "vm-snapshot"), (7, "vm-revert"), (10, "vm-revert")),
    "a machine goes back twice": (
        (1, "volumes"),
        (3, "vm-snapshot"),
        (5, "vm-snapshot"),
        (8, "vm-revert"),
        (9, "vm-revert"),
    ),
    "a disk is restored": ((4, "backup"), (6, "backup"), (8, "restore-backup"), (10, "restore-backup")),
    "the root disk is made anew": ((3, "vm-snapshot"), (5, "reinstall"), (8, "reinstall"), (9, "vm-revert")),
    "a password is wanted": ((3, "password"), (5, "reset"), (8, "password"), (9, "stop"), (10, "start")),
    "an image is made": ((4, "stop"), (5, "image"), (8, "image"), (10, "start")),
    "NICs come and go": ((3, "nics"), (5, "nics"), (8, "nics"), (9, "nics"), (11, "reset")),
    "CDs come and go": ((3, "insert"), (6, "insert"), (8, "eject"), (9, "reset")),
}
"""What is done one after the other, with the times at which it is in twelve seconds."""
_ARGS = {"reset": (("count", 50),), "volumes": (("volumes", ("vol0",)),)}


@dataclass
class Users:
    """Draws deeds, remembering roughly what was asked for, so that most of it makes sense."""

    rng: random.Random
    namespaces: tuple[str, ...]
    size: Size
    vms: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    taken: dict[tuple[str, str], set[int]] = field(default_factory=dict)
    """The snapshots of each machine."""
    born: dict[tuple[str, str], list[dict[str, Any]]] = field(default_factory=dict)
    """The NICs that each machine was made with."""
    saved: dict[str, set[int]] = field(default_factory=dict)
    """The backups of each namespace."""

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
        if rng.random() < STORIES:
            out += self._story(start)
        return sorted(out, key=lambda deed: deed.time)

    def _story(self, start: float) -> list[Deed]:
        """Deeds that follow from each other, as those drawn one by one seldom do."""
        rng, namespace, vm = self.rng, self.rng.choice(self.namespaces), "vm0"
        known = self.vms.get((namespace, vm))
        first = [] if known is not None else [self._create(start + 3.5, namespace, vm)]
        known = self.vms[namespace, vm]
        steps, pace = rng.choice(tuple(STORY.values())), self.size.seconds / 12.0
        out = []
        for after, what in steps:
            time = start + 3.5 + (after + rng.uniform(0, 2)) * pace
            if what in MORE:
                out.append(self._more(time, what, namespace, vm, known, names.root_volume(vm)))
            else:
                out.append(Deed(time, what, namespace, vm, _ARGS.get(what, ())))
        return first + out

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
             "reset", "snapshot", "unsnapshot", "revert", "restore", "move", "grow", *MORE),
            (5, 3, 3, 2, 2, 1, 1, 0.5, 0.5, 1, 2, 0.5, 0.5, self.size.ruin, 4, 0.7, 1.5, 1.5,
             1, 2.5, 1, 0.5, 0.7, 1.5, 0.7, *MORE.values()),
        )[0]  # fmt: skip
        if what in MORE:
            return self._more(time, what, namespace, name, known)
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

    def _more(self, time: float, what: str, namespace: str, vm: str, known: dict[str, Any], of: str = "") -> Deed:
        """What is done with copies of disks and machines, and the smaller wishes."""
        rng = self.rng
        number = rng.randrange(2)
        volume = of or rng.choice((names.root_volume(vm), names.root_volume(vm), "vol0", "vol1"))
        match what:
            case "vm-snapshot" | "vm-unsnapshot":
                self.taken.setdefault((namespace, vm), set()).add(number)
                memory = (("memory", True),) if rng.random() < 0.4 else ()
                return Deed(time, what, namespace, f"vs{number}", (("virtualMachine", vm), *memory))
            case "vm-revert":
                if not (taken := sorted(self.taken.get((namespace, vm), ()))):
                    return self._more(time, "vm-snapshot", namespace, vm, known)
                again = rng.choice((0.1, 0.5, 1.0, 5.0))
                asked = (("vm", vm), ("count", rng.randrange(1, 4)), ("stops", rng.random() < 0.8), ("again", again))
                return Deed(time, what, namespace, f"vs{rng.choice(taken)}", asked)
            case "reinstall":
                known["reinstallRequest"] = known.get("reinstallRequest", 0) + 1
                image = rng.choice(("tiny", "tiny", "tiny", "lost"))
                known["image"] = image
                return Deed(time, what, namespace, vm, (("count", known["reinstallRequest"]), ("image", image)))
            case "password":
                known["passwordRequest"] = known.get("passwordRequest", 0) + 1
                return Deed(time, what, namespace, vm, (("count", known["passwordRequest"]),))
            case "image" | "unimage":
                source = rng.choice((("volume", volume), ("snapshot", f"snap{rng.randrange(2)}")))
                return Deed(time, what, namespace, f"img{number}", (source,))
            case "backup" | "unbackup":
                self.saved.setdefault(namespace, set()).add(number)
                return Deed(time, what, namespace, f"bak{number}", (("volume", volume),))
            case "restore-backup":
                if not (saved := sorted(self.saved.get(namespace, ()))):
                    return self._more(time, "backup", namespace, vm, known)
                how = (("backup", f"bak{rng.choice(saved)}"), ("vm", vm))
                return Deed(time, what, namespace, f"back{number}", how)
            case "schedule" | "unschedule":
                when = (("volume", volume), ("minute", rng.randrange(3)), ("keep", 1))
                return Deed(time, what, namespace, f"sched{number}", when)
            case "nics":
                more: dict[str, Any] = {"network": "net1", "name": "back"}
                if rng.random() < 0.3:
                    more["default"] = True
                some = self.born[namespace, vm]
                known["nics"] = rng.choice(([*some, more], [*some, more], some, some[:1], [more], []))
                return Deed(time, what, namespace, vm, (("nics", known["nics"]),))
            case "rate":
                return Deed(time, what, "", rng.choice(("tiny", "small")), (("rate", rng.choice((0, 100, 500))),))
        return Deed(time, what, namespace, vm, (("volume", f"cd{number}"),))  # insert, eject

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
        self.born[namespace, name] = [{"network": f"net{rng.randrange(2)}"} for _ in range(nics)]
        if nics:
            spec["nics"] = self.born[namespace, name]
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
