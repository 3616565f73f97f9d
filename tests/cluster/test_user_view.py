"""What a user sees: re-apply changes nothing, columns tell the story, describe says why, Flows show each step."""

from __future__ import annotations

import yaml

from tests.support.cluster import KINDS, Body, Cloud, network, vm, volume


def everything(cloud: Cloud) -> dict[str, tuple[object, str]]:
    """Spec and resourceVersion of every object of the tenant."""
    found = {}
    for kind in KINDS.values():
        if kind.namespaced:
            for body in cloud.list(kind.kind):
                metadata = body["metadata"]
                found[f"{kind.kind}/{metadata['name']}"] = (body["spec"], metadata["resourceVersion"])
    return found


def test_second_apply_changes_nothing(cloud: Cloud) -> None:
    """GitOps finds no drift: no controller wrote a spec, and `kubectl diff` is empty."""
    files = network(), volume(), vm("web", volumes=["ledger"])
    cloud.apply(*files)
    cloud.ready("vm/web", "volume/ledger", "network/backplane")
    (flow,) = cloud.list("Flow")
    cloud.wait("Flow", flow["metadata"]["name"], "Succeeded", succeeded)
    before = everything(cloud)
    assert cloud.kubectl("diff", "-f", "-", input=yaml.safe_dump_all(files)) == ""
    said = cloud.apply(*files).splitlines()
    assert [line.rsplit(" ", 1)[1] for line in said] == ["unchanged"] * 3
    assert everything(cloud) == before


def succeeded(flow: Body | None) -> bool:
    """Whether a Flow has come to its good end."""
    return flow is not None and flow.get("status", {}).get("state") == "Succeeded"


def test_get_tells_the_story(cloud: Cloud) -> None:
    """The columns answer: is it running, where, at what address, since when."""
    cloud.apply(network(), volume(), vm("web", volumes=["ledger"], nics=[{"network": "backplane", "ip": "10.1.1.77"}]))
    cloud.ready("vm/web", "volume/ledger", "network/backplane")
    host = cloud.need("VirtualMachine", "web")["status"]["hostName"]
    said = cloud.kubectl("get", "vm,volumes,networks")
    rows = {line.split()[0]: line.split() for line in said.splitlines() if line and not line.startswith("NAME")}
    assert rows["virtualmachine.compute.cloudstack.dev/web"][1:4] == ["Running", host, "10.1.1.77"]
    assert rows["volume.storage.cloudstack.dev/ledger"][1:3] == ["InUse", "64Mi"]
    assert rows["network.networking.cloudstack.dev/backplane"][1:4] == ["Ready", "10.1.1.0/24", "10.1.1.1"]
    assert "web" in cloud.kubectl("get", "cloudstack")
    assert "web" in cloud.kubectl("get", "cloudstack-host")


def test_describe_says_why(cloud: Cloud) -> None:
    """`kubectl describe` of what is not ready has the reason and the sentence."""
    cloud.apply(network(), vm("web", offering="nonesuch"))
    message = cloud.condition("VirtualMachine", "web", "Ready", "False", "OfferingNotFound")["message"]
    said = cloud.kubectl("describe", "vm", "web")
    assert "OfferingNotFound" in said
    assert message in said
    assert message in cloud.kubectl("get", "vm", "web", "-o", "wide")


def test_flow_shows_each_step(cloud: Cloud) -> None:
    """The Flow of a deploy names every component's part, with its object and its times."""
    cloud.apply(network(), volume(), vm("web", volumes=["ledger"]))
    cloud.ready("vm/web")
    (flow,) = cloud.list("Flow")
    done = cloud.wait(
        "Flow",
        flow["metadata"]["name"],
        "Succeeded",
        lambda body: bool(body) and body["status"]["state"] == "Succeeded",
    )
    assert done is not None
    steps = done["status"]["steps"]
    assert {step["component"] for step in steps} >= {"networking", "storage", "compute"}
    assert {step["state"] for step in steps} == {"Done"}
    assert all(step["startedAt"] <= step["finishedAt"] and step["object"] for step in steps)
    assert "Succeeded" in cloud.kubectl("get", "flows")


def test_flow_says_what_it_waits_for(cloud: Cloud) -> None:
    """A Flow that cannot go on names the step and the reason."""
    cloud.apply(network(), vm("web", offering="nonesuch"))
    cloud.condition("VirtualMachine", "web", "Ready", "False", "OfferingNotFound")
    (flow,) = cloud.list("Flow")

    def blocked(body: dict[str, object] | None) -> bool:
        return "nonesuch" in str((body or {}).get("status"))

    cloud.wait("Flow", flow["metadata"]["name"], "blocked with a reason", blocked)
