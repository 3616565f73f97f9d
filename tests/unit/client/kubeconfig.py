"""A kubeconfig for a server on loopback."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml


def as_kubeconfig(port: int, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make that server the one that the command line finds, past any proxy."""
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    config = folder / "kubeconfig"
    context = {"cluster": "c", "user": "u", "namespace": "team-a"}
    config.write_text(
        yaml.safe_dump(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "current-context": "x",
                "contexts": [{"name": "x", "context": context}],
                "clusters": [{"name": "c", "cluster": {"server": f"http://127.0.0.1:{port}"}}],
                "users": [{"name": "u", "user": {"token": "ann"}}],
            }
        )
    )
    monkeypatch.setattr("kubernetes.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION", str(config))
