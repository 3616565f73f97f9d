"""A tenant's view of the cloud on a real cluster: objects by pykube-ng, and kubectl for what a user would type.

Every wait is a watch with a deadline, which names what it saw last when it gives up.
"""

from __future__ import annotations

import json
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import pykube
import requests
import yaml

from dev.console import DevError
from dev.target import Target
from operators.contract.kinds import ALL
from operators.contract.meta import Kind

Body = dict[str, Any]
KINDS = {kind.kind: kind for kind in ALL}
FIELD_MANAGER = "tests"
PATIENCE = 300
"""Seconds that a busy machine may take for anything; who waits for what comes loses nothing by it."""


class TimedOut(AssertionError):
    """Something did not come about in time."""


@dataclass(frozen=True)
class Refused(Exception):
    """kubectl, or the API server behind it, said no."""

    code: int
    said: str

    def __str__(self) -> str:
        return f"exit code {self.code}: {self.said}"


@dataclass
class Cloud:
    """One namespace of the cluster, as its tenant (and an administrator where a test says so) uses it."""

    where: Target
    namespace: str
    made: list[Body] = field(default_factory=list)
    """Cluster-scoped objects that the test made, to be removed after it."""

    @cached_property
    def api(self) -> pykube.HTTPClient:
        """The client for short requests."""
        return self._client(30.0)

    def _client(self, timeout: float) -> pykube.HTTPClient:
        return pykube.HTTPClient(pykube.KubeConfig.from_file(str(self.where.kubeconfig)), timeout=timeout)

    # What a user types.

    def kubectl(self, *words: str, input: str | None = None, timeout: float = 2 * PATIENCE) -> str:
        """Run kubectl in the tenant's namespace and return what it printed; raises Refused with what it said."""
        argv = [self.where.kubectl_program, f"--kubeconfig={self.where.kubeconfig}", "-n", self.namespace, *words]
        done = subprocess.run(
            argv,
            input=input,
            stdin=subprocess.DEVNULL if input is None else None,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        if done.returncode != 0:
            raise Refused(done.returncode, done.stderr.strip() + done.stdout[-2000:])
        return done.stdout

    def apply(self, *bodies: Body) -> str:
        """`kubectl apply` of objects, as a user's manifest."""
        return self.kubectl("apply", "-f", "-", input=yaml.safe_dump_all(bodies))

    def patch(self, kind: str, name: str, change: Body) -> None:
        """`kubectl patch --type=merge`."""
        self.kubectl("patch", KINDS[kind].crd, name, "--type=merge", "-p", json.dumps(change))

    def delete(self, kind: str, *names: str, wait: bool = True) -> None:
        """`kubectl delete`, waiting for the end unless told otherwise."""
        self.kubectl("delete", KINDS[kind].crd, *names, f"--wait={str(wait).lower()}", f"--timeout={PATIENCE}s")

    def ready(self, *objects: str, timeout: int = PATIENCE) -> None:
        """`kubectl wait --for=condition=Ready` of `kind/name`s; what it is waiting for is in the error."""
        try:
            self.kubectl("wait", "--for=condition=Ready", *objects, f"--timeout={timeout}s", timeout=timeout + 20)
        except Refused as refused:
            seen = self.kubectl("get", "vm,volumes,networks", "-o", "wide")
            raise TimedOut(f"{refused}\n{seen}\n{self.story()}") from refused

    # Objects.

    def cls(self, kind: str) -> type[pykube.objects.APIObject]:
        """The pykube class of one of our kinds."""
        found = KINDS[kind]
        made: type[pykube.objects.APIObject] = pykube.object_factory(self.api, found.api_version, kind)
        return made

    def get(self, kind: str, name: str) -> Body | None:
        """The object, or None."""
        found = self._query(kind, self.api).get_or_none(name=name)
        return None if found is None else dict(found.obj)

    def need(self, kind: str, name: str) -> Body:
        """The object, which must be there."""
        body = self.get(kind, name)
        assert body is not None, f"there is no {kind} {name} in {self.namespace}"
        return body

    def list(self, kind: str, *, everywhere: bool = False, selector: str = "") -> list[Body]:
        """All objects of a kind, of this namespace or of all."""
        query = self.cls(kind).objects(self.api)
        if KINDS[kind].namespaced:
            query = query.filter(namespace=pykube.all if everywhere else self.namespace)
        if selector:
            query = query.filter(selector=selector)
        return [dict(each.obj) for each in query]

    def create(self, body: Body) -> Body:
        """Create an object past kubectl; a cluster-scoped one is removed after the test."""
        kind = KINDS[body["kind"]]
        made = self.cls(kind.kind)(self.api, body)
        made.create()
        if not kind.namespaced:
            self.made.append(body)
        return dict(made.obj)

    def remove(self, kind: str, name: str) -> None:
        """Ask for an object's deletion; there or not."""
        found = self._query(kind, self.api).get_or_none(name=name)
        if found is not None:
            found.delete()

    def _query(self, kind: str, api: pykube.HTTPClient) -> Any:
        query = self.cls(kind).objects(api)
        return query.filter(namespace=self.namespace) if KINDS[kind].namespaced else query

    # Waiting.

    def wait(
        self, kind: str, name: str, what: str, holds: Callable[[Body | None], bool], *, timeout: float = PATIENCE
    ) -> Body | None:
        """Watch one object until `holds` says so; it gets None while there is no such object."""
        deadline = time.monotonic() + timeout
        seen: Body | None = None
        for seen in self._states(kind, name, deadline):
            if holds(seen):
                return seen
        status = json.dumps((seen or {}).get("status"), indent=1)
        raise TimedOut(f"{kind} {name}: not {what} within {timeout:.0f} s; its status is {status}\n{self.story()}")

    def _states(self, kind: str, name: str, deadline: float) -> Iterator[Body | None]:
        """The object's states as they come, until the deadline; an API server that is away is asked again."""
        pause = threading.Event()
        while (left := deadline - time.monotonic()) > 0:
            client = self._client(max(left, 1.0))
            try:
                query = self._query(kind, client).filter(field_selector={"metadata.name": name})
                found = query.response
                yield next((item for item in found["items"]), None)
                version = found["metadata"]["resourceVersion"]
                watch = query.watch(since=version, params={"timeoutSeconds": max(1, int(left))})
                try:
                    for event in watch:
                        yield None if event.type == "DELETED" else dict(event.object.obj)
                finally:
                    if watch.response is not None:
                        watch.response.close()
            except (requests.RequestException, pykube.exceptions.HTTPError):
                pause.wait(0.3)
            finally:
                client.session.close()

    def condition(
        self, kind: str, name: str, type_: str, status: str, reason: str = "", *, timeout: float = PATIENCE
    ) -> Body:
        """Wait for a condition, and return it. One that is about an older generation does not count."""
        found = self.wait(
            kind,
            name,
            f"{type_}={status} {reason}",
            lambda body: _has(body, type_, status, reason),
            timeout=timeout,
        )
        return condition_of(found, type_) or {}

    def switch(self, name: str, policy: str) -> None:
        """Ask for a run policy of a VirtualMachine, and wait until its hypervisor has done it."""
        self.patch("VirtualMachine", name, {"spec": {"runPolicy": policy}})
        instance = self.need("VirtualMachine", name)["status"]["instance"]
        self.wait("Instance", instance, policy, lambda body: (body or {}).get("status", {}).get("power") == policy)

    def gone(self, kind: str, name: str, *, timeout: float = PATIENCE) -> None:
        """Wait until there is no such object."""
        self.wait(kind, name, "gone", lambda body: body is None, timeout=timeout)

    def wait_any(self, kind: str, *, timeout: float = PATIENCE) -> Body:
        """Wait until the tenant has an object of the kind, and return the first."""
        deadline = time.monotonic() + timeout
        pause = threading.Event()
        while not (found := self.list(kind)):
            if time.monotonic() > deadline:
                raise TimedOut(f"no {kind} within {timeout:.0f} s\n{self.story()}")
            pause.wait(0.2)
        return found[0]

    def is_ready(self, kind: str, name: str) -> bool:
        """Whether it says that it is Ready, now."""
        found = condition_of(self.get(kind, name), "Ready")
        return found is not None and found["status"] == "True"

    # For people who read a failure.

    def story(self) -> str:
        """Everything of the namespace in a few lines each, with what its conditions say."""
        lines = []
        for kind in ALL:
            if kind.namespaced:
                lines += [_line(kind, body) for body in self._listed(kind)]
        return "\n".join(lines)

    def _listed(self, kind: Kind[Any, Any]) -> Sequence[Body]:
        try:
            return self.list(kind.kind)
        except (requests.RequestException, pykube.exceptions.HTTPError, DevError):
            return ()


def _has(body: Body | None, type_: str, status: str, reason: str) -> bool:
    found = condition_of(body, type_)
    if found is None or body is None or found["status"] != status or (reason and found["reason"] != reason):
        return False
    return bool(found.get("observedGeneration", 0) >= body["metadata"].get("generation", 0))


def condition_of(body: Mapping[str, Any] | None, type_: str) -> Body | None:
    """One of an object's conditions."""
    conditions = (body or {}).get("status", {}).get("conditions", ())
    return next((dict(each) for each in conditions if each["type"] == type_), None)


def _line(kind: Kind[Any, Any], body: Body) -> str:
    said = [
        f"{each['type']}={each['status']} {each['reason']}: {each.get('message', '')}"
        for each in body.get("status", {}).get("conditions", ())
    ]
    going = " (deleting)" if body["metadata"].get("deletionTimestamp") else ""
    return f"{kind.kind} {body['metadata']['name']}{going}: " + "; ".join(said or ["no condition"])


def manifest(kind: str, name: str, spec: Body, **metadata: Any) -> Body:
    """An object of ours as a manifest."""
    return {
        "apiVersion": KINDS[kind].api_version,
        "kind": kind,
        "metadata": {"name": name} | metadata,
        "spec": spec,
    }


def network(name: str = "backplane", cidr: str = "10.1.1.0/24", **spec: Any) -> Body:
    """A Network."""
    return manifest("Network", name, {"cidr": cidr} | spec)


def volume(name: str = "ledger", size: str = "64Mi", **spec: Any) -> Body:
    """A blank Volume."""
    return manifest("Volume", name, {"size": size} | spec)


def vm(name: str, *, nets: Sequence[str] = ("backplane",), **spec: Any) -> Body:
    """A VirtualMachine of the tiny guest."""
    wanted = {"offering": "tiny", "image": "tiny", "nics": [{"network": each} for each in nets]} | spec
    return manifest("VirtualMachine", name, {key: value for key, value in wanted.items() if value is not None})


@contextmanager
def tenant(where: Target, name: str) -> Iterator[Cloud]:
    """A fresh namespace, and the end of everything in it."""
    cloud = Cloud(where, name)
    where.kubectl("create", "namespace", name)
    try:
        yield cloud
    finally:
        _empty(cloud)
        for body in cloud.made:
            cloud.remove(body["kind"], body["metadata"]["name"])
        cloud.api.session.close()


def _empty(cloud: Cloud) -> None:
    """Delete what users make, then the namespace: a namespace alone would end in an order that nobody chose."""
    for kind in ("VirtualMachine", "Volume", "Network", "Image"):
        for body in cloud.list(kind):
            if body["spec"].get("deleteProtection"):
                cloud.patch(kind, body["metadata"]["name"], {"spec": {"deleteProtection": False}})
        cloud.kubectl("delete", KINDS[kind].crd, "--all", f"--timeout={PATIENCE}s")
    cloud.kubectl("delete", "namespace", cloud.namespace, "--ignore-not-found", "--wait=false")
