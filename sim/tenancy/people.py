"""Who calls the API, what they may have, and what they ask for."""

from __future__ import annotations

import base64
import random
from dataclasses import dataclass
from typing import Any

from operators.contract import names
from sim.tenancy.client import Client, key_of, secret_of
from sim.workload import Deed

DOMAIN = "sales"
LIMITS = {"virtualMachines": 4, "memory": 1024}
"""Of the domain that both accounts are in: no ResourceQuota can hold these."""
ACCOUNTS: dict[str, dict[str, int]] = {"ann": {"virtualMachines": 3, "volumes": 5}, "ben": {"cpus": 3}}
MEMORY = {"tiny": 128, "small": 512}
WHAT = {
    "deploy": 6.0, "rush": 1.5, "stop": 2.0, "start": 2.0, "reboot": 1.0, "destroy": 3.0, "volume": 2.0, "attach": 2.0,
    "detach": 1.0, "remove-volume": 1.0, "network": 1.0, "snapshot": 1.0, "account": 0.2,
}  # fmt: skip
"""What they ask for, and how often."""


def draw(rng: random.Random, start: float, seconds: float) -> list[Deed]:
    """Calls of a run, some of them at the same moment."""
    out = [Deed(start + rng.uniform(0.0, 1.0), "call-network", user, "front") for user in ACCOUNTS]
    for _ in range(rng.choice((6, 10, 16))):
        time = start + rng.uniform(2.0, seconds)
        for _ in range(rng.choice((1, 1, 2))):
            what = rng.choices(tuple(WHAT), tuple(WHAT.values()))[0]
            args = (("offering", rng.choice(tuple(MEMORY))), ("data", rng.random() < 0.3), ("number", rng.randrange(3)))
            name = f"n{rng.randrange(4)}"
            out.append(Deed(time + rng.uniform(0, 0.05), f"call-{what}", rng.choice(tuple(ACCOUNTS)), name, args))
    return out


def found(world: Any, system: str) -> None:
    """What the chart and an operator make: domains, accounts, their users and keys."""
    world.create(names.IDENTITY, "domains", "root", spec={})
    world.create(names.IDENTITY, "domains", DOMAIN, spec={"parent": "root", "limits": LIMITS})
    for name, limits in ACCOUNTS.items():
        account(world, name, limits)
        world.create(names.IDENTITY, "users", name, spec={"account": name, "apiKeys": [key_of(name)]})
        data = {key_of(name): base64.b64encode(secret_of(name).encode()).decode()}
        body = {"metadata": {"name": names.user_secret(name)}, "data": data}
        code, answer = world.request("POST", "", "secrets", "", body, namespace=system)
        assert code == 201, answer


def account(world: Any, name: str, limits: dict[str, int]) -> None:
    """Make an account."""
    spec = {"domain": DOMAIN, "role": "User", "limits": limits}
    world.request("POST", names.IDENTITY, "accounts", "", {"metadata": {"name": name}, "spec": spec})


@dataclass(frozen=True)
class Callers:
    """Carries the calls out."""

    world: Any
    client: Client

    def do(self, what: str, user: str, name: str, args: dict[str, Any]) -> None:
        """Do one; what it is about is looked up as it is at that moment."""
        getattr(self, "_" + what.removeprefix("call-").replace("-", "_"))(user, name, args)

    def _call(self, user: str, command: str, **params: str) -> None:
        about = params.get("name") or params.get("id") or params.get("virtualmachineid", "")
        self.client.call(user, command, params, self.client.follow(user, f"{command} {about}"))

    def _uid(self, group: str, plural: str, name: str, namespace: str = "") -> str:
        body = self.world.objects(group, plural).get((namespace, name))
        return str(body["metadata"]["uid"]) if body is not None else ""

    def _zone(self) -> str:
        return self._uid(names.FABRIC, "zones", "default")

    def _deploy(self, user: str, name: str, args: dict[str, Any]) -> None:
        more = {}
        if network := self._uid(names.NETWORKING, "networks", "front", user):
            more["networkids"] = network
        if args["data"]:
            more |= {"diskofferingid": self._uid(names.STORAGE, "diskofferings", "standard"), "size": "1"}
        self._call(
            user,
            "deployVirtualMachine",
            name=name,
            zoneid=self._zone(),
            templateid=self._uid(names.STORAGE, "images", "tiny", "cloudstack-catalog"),
            serviceofferingid=self._uid(names.COMPUTE, "computeofferings", args["offering"]),
            **more,
        )

    def _rush(self, user: str, name: str, args: dict[str, Any]) -> None:
        """Everybody deploys at once, more than anybody may have."""
        for each in ACCOUNTS:
            for number in range(4):
                self._deploy(each, f"rush{number}", args)

    def _machine(self, user: str, name: str, command: str, **more: str) -> None:
        if uid := self._uid(names.COMPUTE, "virtualmachines", name, user):
            self._call(user, command, id=uid, **more)

    def _stop(self, user: str, name: str, args: dict[str, Any]) -> None:
        self._machine(user, name, "stopVirtualMachine")

    def _start(self, user: str, name: str, args: dict[str, Any]) -> None:
        self._machine(user, name, "startVirtualMachine")

    def _reboot(self, user: str, name: str, args: dict[str, Any]) -> None:
        self._machine(user, name, "rebootVirtualMachine")

    def _destroy(self, user: str, name: str, args: dict[str, Any]) -> None:
        self._machine(user, name, "destroyVirtualMachine", expunge="true")

    def _network(self, user: str, name: str, args: dict[str, Any]) -> None:
        offering = self._uid(names.NETWORKING, "networkofferings", "isolated")
        self._call(user, "createNetwork", name="front", zoneid=self._zone(), networkofferingid=offering)

    def _volume(self, user: str, name: str, args: dict[str, Any]) -> None:
        offering = self._uid(names.STORAGE, "diskofferings", "standard")
        about = {"name": f"disk{args['number']}", "size": "1", "diskofferingid": offering}
        self._call(user, "createVolume", zoneid=self._zone(), **about)

    def _of_volume(self, user: str, args: dict[str, Any], command: str, **more: str) -> None:
        if uid := self._uid(names.STORAGE, "volumes", f"disk{args['number']}", user):
            self._call(user, command, id=uid, **more)

    def _attach(self, user: str, name: str, args: dict[str, Any]) -> None:
        if machine := self._uid(names.COMPUTE, "virtualmachines", name, user):
            self._of_volume(user, args, "attachVolume", virtualmachineid=machine)

    def _detach(self, user: str, name: str, args: dict[str, Any]) -> None:
        self._of_volume(user, args, "detachVolume")

    def _remove_volume(self, user: str, name: str, args: dict[str, Any]) -> None:
        self._of_volume(user, args, "deleteVolume")

    def _snapshot(self, user: str, name: str, args: dict[str, Any]) -> None:
        if uid := self._uid(names.STORAGE, "volumes", f"disk{args['number']}", user):
            self._call(user, "createSnapshot", volumeid=uid)

    def _account(self, user: str, name: str, args: dict[str, Any]) -> None:
        """The operator deletes an account with all that it has, and makes it anew once it is gone."""
        self.world.request("DELETE", names.IDENTITY, "accounts", user, {})
        self._again(user)

    def _again(self, user: str) -> None:
        world = self.world
        if self._uid(names.IDENTITY, "accounts", user):
            world.loop.at(world.loop.now + 2.0, world.user, self._again, user)
        else:
            account(world, user, ACCOUNTS[user])
            spec = {"account": user, "apiKeys": [key_of(user)]}
            world.request("POST", names.IDENTITY, "users", "", {"metadata": {"name": user}, "spec": spec})
