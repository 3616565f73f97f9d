"""What the kernel promises of a process, kept by real processes on a real API server."""

from __future__ import annotations

import json
import signal
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from operators.contract.core import LEASE
from operators.contract.meta import Key
from operators.contract.networking import CLAIM
from operators.contract.storage import VOLUME
from operators.kernel.leader import DURATION
from tests.apiserver.client import Client, Refused
from tests.apiserver.conftest import every, let_go, served
from tests.apiserver.control_plane import HOST, ControlPlane
from tests.apiserver.kernel.processes import Process, line, until
from tests.support.store_expectations import volume

Start = Callable[..., Process]


@pytest.fixture
def namespace(admin: Client) -> Iterator[str]:
    """A namespace of the test's own; its Volumes are gone afterwards, whoever holds them."""
    name = f"kernel-{uuid.uuid4().hex[:8]}"
    admin.ask("POST", "/api/v1/namespaces", {"metadata": {"name": name}})
    yield name
    for kind in (VOLUME, CLAIM):
        for each in every(admin, kind):
            let_go(admin, kind, each["metadata"])


@pytest.fixture
def start(control_plane: ControlPlane, tmp_path: Path, namespace: str) -> Iterator[Start]:
    """Start processes of the toy; they are ended with the test."""
    processes: list[Process] = []

    def one(name: str = "toy-0", kubeconfig: Path | None = None, **env: str) -> Process:
        processes.append(Process(kubeconfig or control_plane.kubeconfig, tmp_path, namespace, name, **env))
        return processes[-1]

    yield one
    for process in processes:
        process.kill()


class Cloud:
    """What the tests see and want."""

    def __init__(self, admin: Client, namespace: str) -> None:
        self.admin, self.namespace = admin, namespace

    def want(self, *names: str) -> None:
        for name in names:
            self.admin.create(volume(Key(self.namespace, name)))

    def unwant(self, *names: str) -> None:
        for name in names:
            self.admin.delete(VOLUME, name, namespace=self.namespace)

    def phases(self) -> dict[str, str]:
        items = self.admin.get(VOLUME, namespace=self.namespace)["items"]
        return {each["metadata"]["name"]: each.get("status", {}).get("phase", "") for each in items}

    def claimed(self, *names: str) -> bool:
        return self.phases() == dict.fromkeys(names, "Claimed") and self.claims == len(names)

    @property
    def claims(self) -> int:
        return sum(each["spec"]["owner"]["namespace"] == self.namespace for each in self.admin.get(CLAIM)["items"])

    @property
    def holder(self) -> str:
        try:
            lease = self.admin.get(LEASE, "cloudstack-toy", self.namespace)
        except Refused:
            return ""
        return str(lease["spec"].get("holderIdentity", ""))


@pytest.fixture
def cloud(admin: Client, namespace: str) -> Cloud:
    return Cloud(admin, namespace)


def test_a_process_serves_says_how_it_is_and_ends_clean(cloud: Cloud, start: Start) -> None:
    process = start()
    until(lambda: process.ready and process.leading)
    cloud.want("a", "b")
    until(lambda: cloud.claimed("a", "b"))
    assert process.page("healthz") == (200, "ok\n")
    assert process.metric('cloudstack_api_writes_total{code="201",kind="Claim",verb="create"}') == 2
    assert process.metric('cloudstack_cached_objects{kind="Volume"}') >= 2
    assert process.metric('cloudstack_reconcile_outcomes_total{controller="toy",outcome="Done"}') >= 2
    (act, *_) = process.logged("act")
    assert (act["component"], act["controller"], act["key"]) == ("toy", "toy", f"{cloud.namespace}/a")
    cloud.unwant("a", "b")
    until(lambda: not cloud.phases() and not cloud.claims)
    process.signal(signal.SIGTERM)
    assert (process.ended(), cloud.holder) == (0, "")


def test_an_object_costs_few_writes_and_an_idle_one_none(cloud: Cloud, start: Start) -> None:
    """Finalizer, claim, one status: no status of the steps between, no conflicts."""
    process = start()
    until(lambda: process.leading)
    cloud.want(*(f"v{number}" for number in range(10)))
    until(lambda: cloud.claimed(*(f"v{number}" for number in range(10))))

    def writes() -> float:
        lines = process.page("metrics")[1].splitlines()
        ours = (each for each in lines if each.startswith("cloudstack_api_writes_total") and 'kind="Lease"' not in each)
        return sum(float(each.rpartition(" ")[2]) for each in ours)

    assert writes() <= 40
    before = writes()
    with pytest.raises(AssertionError):
        until(lambda: writes() != before, 5)


@pytest.mark.parametrize("hang", ["thread", "loop", "stubborn"])
def test_a_stuck_handler_does_not_keep_the_process(cloud: Cloud, start: Start, hang: str) -> None:
    process = start(TOY_HANG=hang)
    until(lambda: process.leading)
    cloud.want("a")
    until(lambda: process.logged("act"))
    process.signal(signal.SIGTERM)
    assert process.ended() == 1
    assert process.logged("ended_by_force")


def test_the_standby_takes_over_at_once_after_a_clean_end(cloud: Cloud, start: Start) -> None:
    first = start("toy-0")
    until(lambda: first.leading)
    second = start("toy-1")
    until(lambda: second.ready)
    assert not second.leading
    cloud.want("a")
    until(lambda: cloud.claimed("a"))
    assert not second.logged("act")
    first.signal(signal.SIGTERM)
    first.ended()
    assert until(lambda: second.leading) < DURATION, "it need not wait until the Lease has run out"
    cloud.want("b")
    until(lambda: cloud.claimed("a", "b"))


def test_a_killed_process_is_followed_by_another_that_does_nothing_twice(cloud: Cloud, start: Start) -> None:
    """SIGKILL in the middle of its actions; the standby goes on with what it finds."""
    names = [f"v{number}" for number in range(12)]
    first = start("toy-0", TOY_SLOW="0.3")
    until(lambda: first.leading)
    second = start("toy-1")
    until(lambda: second.ready)
    cloud.want(*names)
    until(lambda: cloud.claims >= 3)
    first.signal(signal.SIGKILL)
    assert not cloud.claimed(*names)
    until(lambda: second.leading)
    until(lambda: cloud.claimed(*names))


def test_a_leader_that_slept_through_its_lease_writes_no_more(cloud: Cloud, start: Start) -> None:
    """SIGSTOP for longer than the Lease lasts, with work in its hands: on waking up it finds itself deposed."""
    names = [f"v{number}" for number in range(12)]
    first = start("toy-0", TOY_SLOW="0.3")
    until(lambda: first.leading)
    second = start("toy-1")
    until(lambda: second.ready)
    cloud.want(*names)
    until(lambda: cloud.claims >= 3)
    first.signal(signal.SIGSTOP)
    acted = len(first.logged("act"))
    until(lambda: second.leading)
    until(lambda: cloud.claimed(*names))
    first.signal(signal.SIGCONT)
    until(lambda: first.logged("standing_by"))
    until(lambda: first.logged("deposed"))
    assert not first.leading
    assert len(first.logged("act")) <= acted + 4  # one per worker, whose writes were refused
    assert second.leading
    assert cloud.claimed(*names)


def test_the_api_server_may_go_away_for_a_while(
    cloud: Cloud, start: Start, control_plane: ControlPlane, tmp_path: Path
) -> None:
    process = start()
    until(lambda: process.leading)
    cloud.want("a")
    until(lambda: cloud.claimed("a"))
    control_plane.stop("kube-apiserver", kill=True)
    try:
        until(lambda: not process.leading)
        assert process.child.poll() is None
        assert process.page("healthz")[0] == 200
    finally:
        control_plane.start_apiserver()
    until(lambda: served(cloud.admin))
    cloud.want("b")
    until(lambda: cloud.claimed("a", "b"))


def test_changes_behind_a_cut_line_are_made_up_for(
    cloud: Cloud, start: Start, control_plane: ControlPlane, tmp_path: Path
) -> None:
    """The watch goes on where it was, as long as the server still knows that place."""
    with line(control_plane.api_port) as wire:
        process = start(kubeconfig=wire.kubeconfig(control_plane.kubeconfig, tmp_path))
        until(lambda: process.leading)
        cloud.want("a", "b")
        until(lambda: cloud.claimed("a", "b"))
        wire.cut()
        cloud.unwant("a")
        cloud.want("c")
        wire.mend()
        until(lambda: cloud.claimed("b", "c"))


def test_410_gone_and_deletions_that_no_watch_tells_of(
    cloud: Cloud, start: Start, control_plane: ControlPlane, tmp_path: Path
) -> None:
    """The history is compacted and the API server is new, so the watch must begin anew, after things vanished."""
    with line(control_plane.api_port) as wire:
        process = start(
            kubeconfig=wire.kubeconfig(control_plane.kubeconfig, tmp_path), RESYNC_SECONDS="8", LOG_LEVEL="debug"
        )
        until(lambda: process.leading)
        cloud.want("a", "b")
        until(lambda: cloud.claimed("a", "b"))
        wire.cut()
        (claim, *_) = cloud.admin.get(CLAIM)["items"]
        cloud.admin.delete(CLAIM, claim["metadata"]["name"])
        cloud.want("c")
        compact(control_plane)
        control_plane.stop("kube-apiserver")
        control_plane.start_apiserver()
        until(lambda: served(cloud.admin))
        wire.mend()
        until(lambda: cloud.claimed("a", "b", "c"))
        until(lambda: "Restarting the watch-stream for claims" in process.log_file.read_text())
        assert process.child.poll() is None


def compact(plane: ControlPlane) -> None:
    """Let etcd forget its history."""

    def ask(path: str, question: dict[str, Any]) -> Any:
        url = f"http://{HOST}:{plane.etcd_port}/v3/kv/{path}"
        request = urllib.request.Request(url, data=json.dumps(question).encode(), method="POST")
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=10) as answer:
            return json.load(answer)

    revision = ask("range", {"key": "AA=="})["header"]["revision"]
    ask("compaction", {"revision": revision, "physical": True})


def test_a_kind_that_the_api_server_does_not_know_is_said_clearly(start: Start) -> None:
    process = start(TOY_UNKNOWN_KIND="1")
    assert process.ended() == 1
    (said,) = process.logged("cannot_start")
    assert "wonders.networking.cloudstack.dev" in said["error"]
    assert "crds/" in said["error"]


def test_a_part_that_fails_ends_the_process(cloud: Cloud, start: Start) -> None:
    process = start(TOY_BACKGROUND="fails")
    assert process.ended() == 1
    (said,) = process.logged("part_ended")
    assert said["part"] == "background-0"
    assert "no hypervisor" in said["exception"]
    assert cloud.holder == ""


def test_it_waits_at_the_start_for_an_api_server_that_is_not_there_yet(
    cloud: Cloud, start: Start, control_plane: ControlPlane, tmp_path: Path
) -> None:
    with line(control_plane.api_port) as wire:
        wire.cut()
        process = start(kubeconfig=wire.kubeconfig(control_plane.kubeconfig, tmp_path))
        until(lambda: process.logged("api_server_not_reached"))
        assert process.page("healthz")[0] == 200
        assert not process.ready
        wire.mend()
        until(lambda: process.leading)
