"""The API as a component: what it watches, and the server that runs beside the watches.

It has no controllers and no leader: every replica answers, from its own cache, and writes what its callers ask for.
"""

from __future__ import annotations

import base64
import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack

import structlog

from operators.api import cloud
from operators.api.call import Published
from operators.api.cloud import Cloud
from operators.api.directory import Directory
from operators.api.dispatch import Dispatcher
from operators.api.doors import Doors
from operators.api.history import DataService, History
from operators.api.peers import Floors, Peers
from operators.api.server import application, integration
from operators.api.sessions import Sessions
from operators.api.throttle import Throttle
from operators.contract.codec import Json
from operators.contract.core import SECRET
from operators.contract.meta import Key
from operators.contract.quantity import Duration
from operators.kernel import access, health
from operators.kernel.component import Component
from operators.kernel.controller import Watch
from operators.kernel.manager import AnyController, Context
from operators.kernel.store import AlreadyExists, Store

log = structlog.get_logger()

NAME = "api"
PORT = "API_PORT"
"""Environment: the port to serve on; 8000 by default, a free one for 0."""
INTEGRATION_PORT = "API_INTEGRATION_PORT"
"""Environment: a port of the loopback interface on which nobody has to prove who they are; off when empty or 0."""
IDENTITY = "IDENTITY_NAMESPACE"
"""Environment: the namespace of the users' Secrets, the only ones it reads; the components' own by default."""
DEADLINE = "DEPLOY_DEADLINE"
"""Environment: how long a deployment may take before it has failed and is taken back; `30m` by default."""
CONSOLES = "CONSOLE_URL"
"""Environment: where Console is published for clients, `wss://…`; empty when it is not."""
UPLOADS = "UPLOAD_URL"
"""Environment: where Upload's port for clients is published, `https://…`; empty when it is not."""
IMAGES = "IMAGES_URL"
"""Environment: where storage agents reach Upload; its Service in the components' own namespace by default."""
DATA = "DATA_URL"
"""Environment: where the Data service is; the Service in the components' own namespace by default."""
PEERS = "API_PEERS"
"""Environment: `host:port` of the other replicas, with commas between; a host may have many addresses, as a headless
Service has. None when empty."""
POD_IP = "POD_IP"
"""Environment: the address by which the other replicas reach this one."""
SESSION_SECRET = f"cloudstack-{NAME}-sessions"
"""The Secret, beside those of the users, with the key that all replicas sign sessions with."""
ENTRY = "key"


def build(context: Context) -> Sequence[AnyController]:
    """No controllers: only the indexes of the read model."""
    cloud.index(context.cache)
    return ()


async def serve(context: Context) -> None:
    """Answer requests until the process ends."""
    dispatcher, doors = await behind(context)
    trusted = int(context.env.get(INTEGRATION_PORT) or "0")
    async with AsyncExitStack() as stack:
        port = int(context.env.get(PORT) or "8000")
        app = application(dispatcher, doors)
        log.info("serving", port=await stack.enter_async_context(health.served(app, port)))
        if trusted:
            await stack.enter_async_context(health.served(integration(dispatcher, doors), trusted, "127.0.0.1"))
            log.warning("integration_port_open", port=trusted)
        stack.push_async_callback(dispatcher.peers.close)
        await dispatcher.peers.meet()
        await dispatcher.peers.run()


async def behind(context: Context, history: History | None = None) -> tuple[Dispatcher, Doors]:
    """What answers, over a component's cache and store; it asks the Data service when no `history` is given."""
    env = context.env
    system, catalogue = env["POD_NAMESPACE"], env.get("CATALOG_NAMESPACE", "")
    identity = env.get(IDENTITY) or system
    directory = Directory(Cloud(context.cache, catalogue), identity, frozenset({system, catalogue, identity}))
    key = await session_key(context.store, identity)
    sessions = Sessions(key)
    own = f"{env[POD_IP]}:{env.get(PORT) or '8000'}" if env.get(POD_IP) else ""
    peers = Peers(Floors(context.cache, sessions), key, context.clock, env.get(PEERS, ""), own)
    doors = Doors(directory, context.store, context.clock, sessions)
    deadline = Duration.parse(env.get(DEADLINE) or "30m")
    history = history or DataService(env.get(DATA) or f"http://cloudstack-data.{system}:8080", _token(env))
    dispatcher = Dispatcher(
        directory,
        context.store,
        context.clock,
        doors,
        context.synced,
        deadline,
        history,
        Throttle.of(env, context.clock),
        peers,
        Published(
            env.get(CONSOLES, ""),
            env.get(UPLOADS, ""),
            env.get(IMAGES) or f"http://cloudstack-upload.{system}.svc:8081",
        ),
    )
    return dispatcher, doors


def _token(env: Mapping[str, str]) -> Callable[[], str]:
    """This process's own token, as it is now; none outside a pod without a kubeconfig."""
    try:
        return access.find(env).token.current
    except access.AccessError:
        return lambda: ""


async def session_key(store: Store, namespace: str) -> bytes:
    """The key that all replicas share: whoever is first makes it."""
    key = Key(namespace, SESSION_SECRET)
    body = await store.get(SECRET, key)
    if body is None:
        made = {"data": {ENTRY: base64.b64encode(secrets.token_bytes(32)).decode()}, "type": "Opaque"}
        try:
            body = await store.create(SECRET, SECRET.body(key) | made)
        except AlreadyExists:
            body = await store.get(SECRET, key)
    return _entry(body or {})


def _entry(body: Json) -> bytes:
    return base64.b64decode(body["data"][ENTRY], validate=True)


def _background(context: Context) -> Sequence[Awaitable[None]]:
    return (serve(context),)


COMPONENT = Component(
    name=NAME,
    watches=lambda env: [Watch(kind) for kind in cloud.KINDS],
    build=build,
    background=_background,
    leads=False,
)
