"""How to reach the API server: where it is, whom to trust, and who we are.

Inside a pod the service's environment variables and the projected token say so; outside, a kubeconfig. The token is
read again every minute, because the kubelet replaces it long before it ends and a process outlives many of them.
"""

from __future__ import annotations

import base64
import os
import ssl
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import yaml

POD_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
TOKEN_AGE = 60.0
"""Seconds for which a token is used before its file is read again."""


class AccessError(Exception):
    """It cannot be found out how to reach the API server."""


class Token:
    """A bearer token: a fixed one, or one in a file that is replaced now and then."""

    def __init__(
        self, fixed: str = "", file: Path | None = None, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._value = fixed
        self._file = file
        self._monotonic = monotonic
        self._read_at = float("-inf")

    def current(self) -> str:
        """The token, at most a minute old; "" when there is none."""
        if self._file is not None and self._monotonic() - self._read_at > TOKEN_AGE:
            self._value = self._file.read_text().strip()
            self._read_at = self._monotonic()
        return self._value

    def renew(self) -> bool:
        """The server refused it: read the file again now; whether it holds another one."""
        used, self._read_at = self._value, float("-inf")
        return self.current() != used


@dataclass(frozen=True, slots=True)
class Access:
    """All that a client session needs."""

    server: str
    """`https://host:port`, without a slash at the end."""
    tls: ssl.SSLContext | None
    token: Token
    namespace: str = ""

    def session(self, agent: str) -> aiohttp.ClientSession:
        """A new client session that names itself `agent`; whoever asks for it closes it."""
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, ssl=self.tls if self.tls is not None else True),
            headers={"User-Agent": agent},
            middlewares=(self._authorise,),
        )

    async def _authorise(
        self, request: aiohttp.ClientRequest, send: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        for last in (False, True):
            if token := self.token.current():
                request.headers["Authorization"] = f"Bearer {token}"
            answer = await send(request)
            if answer.status != 401 or last or not self.token.renew():
                break
            answer.release()
        return answer


def find(env: Mapping[str, str] = os.environ) -> Access:
    """Find the API server: by KUBECONFIG, else as a pod, else by `~/.kube/config`. Raises AccessError."""
    if named := env.get("KUBECONFIG"):
        return from_kubeconfig(Path(named))
    if env.get("KUBERNETES_SERVICE_HOST"):
        return from_pod(env)
    usual = Path(env.get("HOME", "/root"), ".kube", "config")
    if usual.exists():
        return from_kubeconfig(usual)
    raise AccessError("no API server: set KUBECONFIG, or run in a pod with a service account")


def from_pod(env: Mapping[str, str], account: Path = POD_ACCOUNT) -> Access:
    """Reach the API server as a pod does. By address, not by name: DNS may be what we are here to mend."""
    host, port = env["KUBERNETES_SERVICE_HOST"], env.get("KUBERNETES_SERVICE_PORT", "443")
    if not (account / "token").exists():
        raise AccessError(f"no {account}/token: the pod's service account is not mounted")
    return Access(
        server=f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}",
        tls=ssl.create_default_context(cafile=str(account / "ca.crt")),
        token=Token(file=account / "token"),
        namespace=(account / "namespace").read_text().strip(),
    )


def from_kubeconfig(path: Path) -> Access:
    """Reach the API server as kubectl does with this file. Raises AccessError for what only kubectl can do."""
    try:
        config = yaml.load(path.read_text(), yaml.CSafeLoader)
        context = _named(config, "contexts", config["current-context"])["context"]
        cluster = _named(config, "clusters", context["cluster"])["cluster"]
        user = _named(config, "users", context["user"]).get("user") or {}
        server = cluster["server"].rstrip("/")
    except (OSError, KeyError, TypeError, yaml.YAMLError) as error:
        raise AccessError(f"{path} is not a usable kubeconfig: {error!r}") from error
    if "exec" in user or "auth-provider" in user:
        raise AccessError(f"{path}: logging in by a helper program is not supported, use a token or a certificate")
    token_file = user.get("tokenFile")
    return Access(
        server=server,
        tls=_tls(path.parent, cluster, user) if server.startswith("https:") else None,
        token=Token(user.get("token", ""), path.parent / token_file if token_file else None),
        namespace=context.get("namespace", "default"),
    )


def _named(config: Mapping[str, Any], section: str, name: str) -> Mapping[str, Any]:
    for entry in config[section]:
        if entry["name"] == name:
            return dict(entry)
    raise KeyError(f"{section}: {name}")


def _tls(folder: Path, cluster: Mapping[str, Any], user: Mapping[str, Any]) -> ssl.SSLContext:
    authority = _pem(folder, cluster, "certificate-authority")
    tls = ssl.create_default_context(cadata=authority.decode() if authority else None)
    if cluster.get("insecure-skip-tls-verify"):
        tls.check_hostname = False
        tls.verify_mode = ssl.CERT_NONE
    certificate, key = _pem(folder, user, "client-certificate"), _pem(folder, user, "client-key")
    if certificate and key:
        # The ssl module loads a client's certificate from files only.
        with tempfile.NamedTemporaryFile() as both:
            both.write(certificate + b"\n" + key)
            both.flush()
            tls.load_cert_chain(both.name)
    return tls


def _pem(folder: Path, section: Mapping[str, Any], field: str) -> bytes | None:
    if inline := section.get(f"{field}-data"):
        return base64.b64decode(inline)
    if name := section.get(field):
        return (folder / str(name)).read_bytes()
    return None
