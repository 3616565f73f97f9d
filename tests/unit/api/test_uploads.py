"""Templates, ISOs and volumes whose files a client posts as a form."""

from __future__ import annotations

import hashlib
from typing import Any

from operators.contract.codec import Json
from operators.contract.meta import Key
from operators.contract.storage import IMAGE, VOLUME
from operators.contract.uploads import IMAGE_UPLOAD
from operators.kernel.memory import MemoryStore
from tests.unit.api.world import World

TEMPLATE = {"name": "Debian 12", "displaytext": "Ours", "format": "QCOW2", "hypervisor": "KVM", "zoneid": "-1"}


async def begun(world: World, command: str, envelope: str, **args: Any) -> Json:
    """The answer, in CloudStack's envelope."""
    status, answer = await world.ask("alice", command, **args)
    assert status == 200, answer
    return dict(answer[envelope]["getuploadparams"])


def upload(world: World, params: Json) -> Json:
    """The ImageUpload that an answer is about."""
    body = world.server.read(IMAGE_UPLOAD, Key("alice", params["metadata"]))
    assert body is not None
    return body


async def came(world: World, params: Json, *, ready: bool = True) -> None:
    """Upload says how it stands."""
    said = {"type": "Ready", "status": str(ready), "reason": "Uploading", "message": "the form is awaited"}
    status = {"conditions": [said], "received": 100 if ready else 0}
    key = Key("alice", params["metadata"])
    await MemoryStore(world.server, "upload").apply_status(IMAGE_UPLOAD, key, status, resource_version="")


async def test_a_template_is_there_at_once_and_ready_when_its_file_is(world: World) -> None:
    params = await begun(world, "getUploadParamsForTemplate", "postuploadtemplateresponse", **TEMPLATE, ispublic="true")
    body = upload(world, params)
    spec = body["spec"]
    assert spec["form"] and spec["tokenSha256"] == hashlib.sha256(params["signature"].encode()).hexdigest()
    assert "sha256" not in spec
    assert params["postURL"] == f"https://uploads.example.org/up/uploads/alice/{params['metadata']}"
    assert params["expires"].endswith("Z") and params["signature"] not in str(body)
    image = world.server.read(IMAGE, Key("alice", "debian-12"))
    assert image is not None and image["metadata"]["uid"] == params["id"]
    assert image["spec"]["url"].endswith(f"/images/{body['metadata']['uid']}") and image["spec"]["public"]

    async def listed() -> Json:
        (found,) = (await world.call("alice", "listTemplates", templatefilter="self"))["template"]
        return dict(found)

    await came(world, params, ready=False)
    assert (await listed())["isready"] is False and (await listed())["status"] == "the form is awaited"
    await came(world, params)
    now = await listed()
    assert (now["isready"], now["status"], now["name"]) == (True, "Download Complete", "Debian 12")


async def test_a_checksum_that_is_known_before_is_held_to(world: World) -> None:
    digits = "a" * 64
    args = TEMPLATE | {"checksum": "{SHA-256}" + digits}
    params = await begun(world, "getUploadParamsForTemplate", "postuploadtemplateresponse", **args)
    assert upload(world, params)["spec"]["sha256"] == digits
    image = world.server.read(IMAGE, Key("alice", "debian-12"))
    assert image is not None and image["spec"]["checksum"] == f"sha256:{digits}"


async def test_an_iso_and_a_volume(world: World) -> None:
    iso = await begun(
        world,
        "getUploadParamsForIso",
        "postuploadisoresponse",
        name="rescue",
        format="ISO",
        bootable="false",
        zoneid="-1",
    )
    image = world.server.read(IMAGE, Key("alice", "rescue"))
    assert image is not None and image["metadata"]["uid"] == iso["id"]
    assert (image["spec"]["format"], image["spec"]["bootable"]) == ("iso", False)
    params = await begun(
        world, "getUploadParamsForVolume", "postuploadvolumeresponse", name="ledger", format="VMDK", zoneid="-1"
    )
    volume = world.server.read(VOLUME, Key("alice", "ledger"))
    assert volume is not None and volume["metadata"]["uid"] == params["id"]
    assert volume["spec"]["source"]["format"] == "vmdk" and "/images/" in volume["spec"]["source"]["url"]


async def test_what_is_refused(world: World) -> None:
    for wrong in ({"format": "OVA"}, {"hypervisor": "VMware"}, {"checksum": "abc"}):
        status, _ = await world.ask("alice", "getUploadParamsForTemplate", **(TEMPLATE | wrong))
        assert status == 431
    assert list(world.server.all(IMAGE_UPLOAD)) == []
