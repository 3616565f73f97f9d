"""An image from a user's own machine, by the command line and through the API server, to a guest that boots from it."""

from __future__ import annotations

import os
import subprocess
import sys

from images.tiny import build as tiny
from tests.support.cluster import PATIENCE, Cloud, vm
from tests.support.guest import guest


def test_an_uploaded_image_boots(cloud: Cloud) -> None:
    command = [sys.executable, "-m", "operators.launch", "image", "upload", str(tiny.build()), "mine"]
    env = os.environ | {"KUBECONFIG": str(cloud.where.kubeconfig)}
    done = subprocess.run(
        [*command, "-n", cloud.namespace], env=env, capture_output=True, text=True, timeout=4 * PATIENCE
    )
    assert done.returncode == 0, done.stderr
    assert "uploading 100%" in done.stderr
    cloud.ready("imageupload/mine", "image/mine")

    cloud.apply(vm("web", image="mine", nics=[]))
    cloud.ready("vm/web")
    guest(cloud, "web").wait_booted()
