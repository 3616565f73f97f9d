"""Upload as a process, with its rights and no more, and tenants with theirs."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from operators.contract.meta import Key
from operators.contract.storage import IMAGE
from operators.contract.uploads import CONTENT_TYPE, IMAGE_UPLOAD
from tests.apiserver.client import Client
from tests.apiserver.control_plane import HOST, ControlPlane, free_ports
from tests.apiserver.kernel.processes import until
from tests.apiserver.policies.conftest import SYSTEM
from tests.apiserver.rooms.conftest import Room, as_account

NS = "rooms"
DATA = os.urandom(3 << 20)
SHA = hashlib.sha256(DATA).hexdigest()
SPEC = {"size": len(DATA), "sha256": SHA, "tokenSha256": hashlib.sha256(b"token").hexdigest()}


class Upload:
    """The process, which may be killed and started again on the same volume."""

    def __init__(self, config: Path, folder: Path) -> None:
        self._config, self._folder = config, folder
        self.port, self.images = free_ports(2)
        self.start()

    def start(self) -> None:
        env = {
            "UPLOAD_PORT": str(self.port),
            "IMAGES_PORT": str(self.images),
            "IMAGES_URL": f"http://{HOST}:{self.images}",
            "UPLOAD_FOLDER": str(self._folder),
        }
        self.room = Room("upload", self._config, self._folder.parent / "upload.log", env)
        until(self._ready, 60, "Upload is ready")

    def _ready(self) -> bool:
        try:
            return self.room.page("readyz").ok
        except requests.ConnectionError:
            assert self.room.child.poll() is None, self.room.log.read_text()[-3000:]
            return False

    def ask(self, method: str, url: str, **headers: str) -> requests.Response:
        with requests.Session() as session:
            session.trust_env = False
            offset = int(headers.get("Upload-Offset", "0"))
            data = DATA[offset : offset + (1 << 20)] if method == "PATCH" else None
            return session.request(method, url, headers={"Content-Type": CONTENT_TYPE} | headers, data=data, timeout=60)

    def come(self, name: str, offset: int) -> requests.Response:
        url = f"http://{HOST}:{self.port}/uploads/{NS}/{name}"
        return self.ask("PATCH", url, **{"Upload-Token": "token", "Upload-Offset": str(offset)})


@pytest.fixture
def upload(control_plane: ControlPlane, admin: Client, rights: None, tmp_path: Path) -> Iterator[Upload]:
    config = tmp_path / "upload.kubeconfig"
    config.write_text(json.dumps(as_account(control_plane.kubeconfig, admin, "cloudstack-upload")))
    (folder := tmp_path / "volume").mkdir()
    made = Upload(config, folder)
    yield made
    made.room.end()
    assert made.room.forbidden() == []


def test_an_upload_survives_its_server_and_goes_with_its_object(upload: Upload, admin: Client, tmp_path: Path) -> None:
    uid = admin.create(IMAGE_UPLOAD.body(Key(NS, "debian"), spec=SPEC))["metadata"]["uid"]
    assert upload.come("debian", 0).status_code == 204
    assert upload.come("debian", 1 << 20).status_code == 204
    upload.room.kill()
    upload.start()
    head = upload.ask("HEAD", f"http://{HOST}:{upload.port}/uploads/{NS}/debian", **{"Upload-Token": "token"})
    assert head.headers["Upload-Offset"] == str(2 << 20)
    assert upload.come("debian", 2 << 20).status_code == 204

    def status() -> dict[str, object]:
        return dict(admin.get(IMAGE_UPLOAD, "debian", namespace=NS).get("status", {}))

    until(lambda: status().get("phase") == "Ready", 60, "the file was checked")
    url = str(status()["url"])
    assert upload.ask("GET", url).content == DATA
    admin.create(IMAGE.body(Key(NS, "debian"), spec={"url": url, "checksum": f"sha256:{SHA}"}))
    until(lambda: "expires" not in status(), 60, "an Image keeps it")
    admin.delete(IMAGE_UPLOAD, "debian", namespace=NS)
    until(lambda: not any((tmp_path / "volume").iterdir()), 60, f"the file of {uid} is gone")
    admin.delete(IMAGE, "debian", namespace=NS)


REVIEW = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
PROXY = {"namespace": SYSTEM, "resource": "services", "subresource": "proxy"}
STORAGE = {"namespace": NS, "group": "storage.cloudstack.dev"}
ANN, ACCOUNT = ("ann", ["system:authenticated"]), (f"system:serviceaccount:{SYSTEM}:cloudstack-upload", [])


@pytest.mark.parametrize(
    ("who", "what", "allowed"),
    [
        (ANN, PROXY | {"name": "cloudstack-upload:http", "verb": "get"}, True),
        (ANN, PROXY | {"name": "cloudstack-upload:http", "verb": "patch"}, True),
        (ANN, PROXY | {"name": "cloudstack-upload:http", "verb": "create"}, False),
        (ANN, PROXY | {"name": "cloudstack-upload:images", "verb": "get"}, False),
        (ANN, PROXY | {"name": "cloudstack-upload", "verb": "get"}, False),
        (ANN, STORAGE | {"resource": "imageuploads", "verb": "create"}, False),
        (ACCOUNT, STORAGE | {"resource": "imageuploads", "subresource": "status", "verb": "patch"}, True),
        (ACCOUNT, STORAGE | {"resource": "imageuploads", "verb": "patch"}, False),
        (ACCOUNT, STORAGE | {"resource": "imageuploads", "verb": "create"}, False),
        (ACCOUNT, STORAGE | {"resource": "images", "verb": "create"}, False),
        (ACCOUNT, STORAGE | {"resource": "images", "verb": "delete"}, False),
        (ACCOUNT, {"namespace": NS, "resource": "secrets", "verb": "get"}, False),
    ],
)
def test_rights(admin: Client, rights: None, who: tuple[str, list[str]], what: dict[str, str], allowed: bool) -> None:
    review = {"user": who[0], "groups": who[1], "resourceAttributes": what}
    body = {"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": review}
    assert admin.ask("POST", REVIEW, body)["status"].get("allowed", False) is allowed
