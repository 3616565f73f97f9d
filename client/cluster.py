"""The cluster as its user's kubeconfig has it, and the objects that are made there."""

from __future__ import annotations

import contextlib
import hashlib
import json
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import kubernetes
from urllib3.exceptions import HTTPError

from operators.contract import names
from operators.contract.codec import Json
from operators.contract.consoles import CONSOLE, ConsoleType
from operators.contract.meta import Key, Kind

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
        self._objects: Any = kubernetes.client.CustomObjectsApi(self._api)
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
        body = self.create(CONSOLE, CONSOLE.body(key, spec=spec))
        return Made(key, body["metadata"]["uid"], token)

    def create(self, kind: Kind[Any, Any], body: Json) -> Json:
        """Create an object."""
        with _in_words():
            where = kind.group, kind.version, body["metadata"]["namespace"], kind.plural
            return dict(self._objects.create_namespaced_custom_object(*where, body, _request_timeout=TIMEOUT))

    def get(self, kind: Kind[Any, Any], key: Key) -> Json | None:
        """Read an object; None when there is none."""
        with _in_words():
            where = kind.group, kind.version, key.namespace, kind.plural, key.name
            try:
                return dict(self._objects.get_namespaced_custom_object(*where, _request_timeout=TIMEOUT))
            except kubernetes.client.ApiException as error:
                if error.status == 404 and _of_object(error):
                    return None
                raise

    def watch(self, kind: Kind[Any, Any], key: Key, seconds: int) -> Iterator[Json]:
        """An object as it is, and then as it becomes, for so long."""
        with _in_words():
            watch: Any = kubernetes.watch
            found = watch.Watch().stream(
                self._objects.list_namespaced_custom_object,
                *(kind.group, kind.version, key.namespace, kind.plural),
                field_selector=f"metadata.name={key.name}",
                timeout_seconds=seconds,
                _request_timeout=(TIMEOUT, seconds + TIMEOUT),
            )
            for event in found:
                if event["type"] == "DELETED":
                    raise ClientError(f"{kind.kind} {key} was deleted meanwhile")
                yield event["object"]

    @property
    def http(self) -> Any:
        """urllib3's pool of connections to the API server, with the kubeconfig's certificates."""
        return self._api.rest_client.pool_manager

    def service(self, service: str) -> str:
        """Where a Service of CloudStack is through the API server: wherever kubectl works, this does."""
        host = str(self.configuration.host).rstrip("/")
        return f"{host}/api/v1/namespaces/{self._system}/services/{service}/proxy"

    def proxied(self, made: Made) -> str:
        """Where a Console is opened through the API server."""
        host = urlsplit(self.service(SERVICE))
        scheme = {"https": "wss"}.get(host.scheme, "ws")
        return str(urlunsplit((scheme, host.netloc, host.path + path_of(made), "", "")))

    def authorization(self) -> str:
        """What the API server is to be told of who asks; empty where a certificate says it."""
        return str(self.configuration.get_api_key_with_prefix("BearerToken", alias="authorization") or "")


def path_of(made: Made) -> str:
    """The path of a Console's WebSocket."""
    return f"/consoles/{made.key.namespace}/{made.key.name}"


@contextlib.contextmanager
def _in_words() -> Iterator[None]:
    """What the API server refuses, or where it is not reached. Raises ClientError."""
    try:
        yield
    except kubernetes.client.ApiException as error:
        raise ClientError(f"the API server refused: {_said(error)}") from error
    except HTTPError as error:
        raise ClientError(f"the API server is not reached: {error}") from error


def _of_object(error: Any) -> bool:
    """Whether an object is missing, and not its whole kind: then CloudStack is not there, or is older."""
    try:
        return bool(json.loads(error.body)["details"]["name"])
    except (TypeError, ValueError, KeyError):
        return False


def _said(error: Any) -> str:
    """The sentence of an API server's refusal."""
    try:
        return str(json.loads(error.body)["message"])
    except (TypeError, ValueError, KeyError):
        return f"{error.status} {error.reason}"
