"""Finding the API server, and tokens that change while the process runs."""

from __future__ import annotations

import base64
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from operators.kernel import access
from operators.kernel.access import TOKEN_AGE, AccessError, Token


@pytest.fixture(scope="module")
def pem(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a key and a certificate that signs itself."""
    folder = tmp_path_factory.mktemp("pem")
    kind = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", "/CN=x"]
    subprocess.run(
        ["openssl", "req", "-x509", *kind, "-keyout", str(folder / "key.pem"), "-out", str(folder / "cert.pem")],
        check=True,
        capture_output=True,
    )
    return folder


def kubeconfig(folder: Path, cluster: dict[str, Any], user: dict[str, Any]) -> Path:
    path = folder / "config"
    path.write_text(
        json.dumps(
            {
                "clusters": [
                    {"name": "other"},
                    {"name": "c", "cluster": {"server": "https://10.0.0.1:6443/"} | cluster},
                ],
                "users": [{"name": "u", "user": user}],
                "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u", "namespace": "n"}}],
                "current-context": "x",
            }
        )
    )
    return path


def test_certificates_may_be_files_or_inline(pem: Path, tmp_path: Path) -> None:
    def inline(name: str) -> str:
        return base64.b64encode((pem / name).read_bytes()).decode()

    for cluster, user in (
        (
            {"certificate-authority": str(pem / "cert.pem")},
            {"client-certificate": str(pem / "cert.pem"), "client-key": str(pem / "key.pem")},
        ),
        (
            {"certificate-authority-data": inline("cert.pem")},
            {"client-certificate-data": inline("cert.pem"), "client-key-data": inline("key.pem")},
        ),
    ):
        reach = access.find({"KUBECONFIG": str(kubeconfig(tmp_path, cluster, user))})
        assert (reach.server, reach.namespace, reach.token.current()) == ("https://10.0.0.1:6443", "n", "")
        assert reach.tls is not None
        assert [each["subject"] for each in reach.tls.get_ca_certs()] == [((("commonName", "x"),),)]


def test_tokens_may_be_fixed_or_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("from-file\n")
    assert access.from_kubeconfig(kubeconfig(tmp_path, {}, {"token": "fixed"})).token.current() == "fixed"
    assert access.from_kubeconfig(kubeconfig(tmp_path, {}, {"tokenFile": "token"})).token.current() == "from-file"


def test_what_only_kubectl_can_do_is_said(tmp_path: Path) -> None:
    with pytest.raises(AccessError, match="helper program"):
        access.from_kubeconfig(kubeconfig(tmp_path, {}, {"exec": {}}))
    with pytest.raises(AccessError, match="not a usable kubeconfig"):
        access.from_kubeconfig(tmp_path / "missing")
    with pytest.raises(AccessError, match="KUBECONFIG"):
        access.find({"HOME": str(tmp_path)})


@pytest.mark.parametrize(
    ("host", "server"), [("10.96.0.1", "https://10.96.0.1:443"), ("fd00::1", "https://[fd00::1]:443")]
)
def test_a_pod_uses_addresses_and_its_mounted_account(pem: Path, tmp_path: Path, host: str, server: str) -> None:
    (tmp_path / "token").write_text("t")
    (tmp_path / "namespace").write_text("system")
    (tmp_path / "ca.crt").write_bytes((pem / "cert.pem").read_bytes())
    reach = access.from_pod({"KUBERNETES_SERVICE_HOST": host}, tmp_path)
    assert (reach.server, reach.namespace, reach.token.current()) == (server, "system", "t")
    with pytest.raises(AccessError, match="not mounted"):
        access.from_pod({"KUBERNETES_SERVICE_HOST": host}, tmp_path / "elsewhere")


def test_a_token_file_is_read_again_every_minute(tmp_path: Path) -> None:
    now, file = [0.0], tmp_path / "token"
    file.write_text("one")
    token = Token(file=file, monotonic=lambda: now[0])
    assert token.current() == "one"
    file.write_text("two")
    now[0] = TOKEN_AGE - 1
    assert token.current() == "one"
    now[0] = TOKEN_AGE + 1
    assert token.current() == "two"
    assert not token.renew()
    file.write_text("three")
    assert token.renew()


async def test_a_refused_token_is_read_again_at_once_and_the_request_repeated(tmp_path: Path) -> None:
    file, asked = tmp_path / "token", list[tuple[str, str]]()
    file.write_text("old")

    async def handle(request: web.BaseRequest) -> web.Response:
        asked.append((request.headers["Authorization"], await request.text()))
        file.write_text("new")
        return web.Response(status=200 if asked[-1][0] == "Bearer new" else 401)

    runner = web.ServerRunner(web.Server(handle))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}/"
    async with access.Access(url, None, Token(file=file)).session("cloudstack-toy") as session:
        async with session.post(url, data=b"body") as answer:
            assert answer.status == 200
        assert session.headers["User-Agent"] == "cloudstack-toy"
    await runner.cleanup()
    assert asked == [("Bearer old", "body"), ("Bearer new", "body")]
