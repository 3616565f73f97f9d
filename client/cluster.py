"""The cluster as its user's kubeconfig has it, and the Consoles that are made there."""

from __future__ import annotations

import hashlib
import json
import secrets
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import kubernetes
from urllib3.exceptions import HTTPError

from operators.contract import names
from operators.contract.consoles import CONSOLE, ConsoleType
from operators.contract.meta import Key

SERVICE = "cloudstack-console:http"
"""Name and port of Console's Service, as the API server's proxy has them."""
TIMEOUT = 10
"""Seconds for a request to the API server."""


class ClientError(Exception):
    """What went wrong, in words for whoever typed the command."""


@dataclass(frozen=True)
class Made:
    """A Console, and the token that opens it."""

    key: Key
    uid: str
    token: str


class Cluster:
    """One context of a kubeconfig. Raises ClientError."""

    def __init__(self, context: str = "", namespace: str = "", system: str = "cloudstack-system") -> None:
        try:
            kubeconfig: Any = kubernetes.config
            self._api: Any = kubeconfig.new_client_from_config(context=context or None)
            contexts, active = kubeconfig.list_kube_config_contexts()
        except (kubernetes.config.ConfigException, OSError) as error:
            raise ClientError(f"no usable kubeconfig: {error}") from error
        chosen = next((each for each in contexts if each["name"] == context), active)
        self.namespace = namespace or chosen["context"].get("namespace") or "default"
        self._objects = kubernetes.client.CustomObjectsApi(self._api)
        self._system = system

    def close(self) -> None:
        """Let go of the connections to the API server."""
        pools = self._api.rest_client.pool_manager.pools
        for key in pools.keys():  # noqa: SIM118 - no dictionary: it refuses to be iterated
            pools[key].close()

    @property
    def configuration(self) -> Any:
        """How the API server is reached."""
        return self._api.configuration

    def make(self, vm: str, type_: ConsoleType) -> Made:
        """Ask for a console. The token is drawn here, and only its hash leaves this process before it is used."""
        token = secrets.token_urlsafe(32)
        key = Key(self.namespace, names.joined(vm, secrets.token_hex(4)))
        sha = hashlib.sha256(token.encode()).hexdigest()
        spec = {"virtualMachine": vm, "type": type_.value, "tokenSha256": sha}
        where = CONSOLE.group, CONSOLE.version, key.namespace, CONSOLE.plural
        try:
            body: Any = self._objects.create_namespaced_custom_object(
                *where, CONSOLE.body(key, spec=spec), _request_timeout=TIMEOUT
            )
        except kubernetes.client.ApiException as error:
            raise ClientError(f"the API server refused: {_said(error)}") from error
        except HTTPError as error:
            raise ClientError(f"the API server is not reached: {error}") from error
        return Made(key, body["metadata"]["uid"], token)

    def proxied(self, made: Made) -> str:
        """Where a Console is opened through the API server: wherever kubectl works, this does."""
        host = urlsplit(self.configuration.host)
        path = f"{host.path.rstrip('/')}/api/v1/namespaces/{self._system}/services/{SERVICE}/proxy"
        return str(urlunsplit(({"https": "wss"}.get(host.scheme, "ws"), host.netloc, path + path_of(made), "", "")))

    def authorization(self) -> str:
        """What the API server is to be told of who asks; empty where a certificate says it."""
        return str(self.configuration.get_api_key_with_prefix("BearerToken", alias="authorization") or "")


def path_of(made: Made) -> str:
    """The path of a Console's WebSocket."""
    return f"/consoles/{made.key.namespace}/{made.key.name}"


def _said(error: Any) -> str:
    """The sentence of an API server's refusal."""
    try:
        return str(json.loads(error.body)["message"])
    except (TypeError, ValueError, KeyError):
        return f"{error.status} {error.reason}"
