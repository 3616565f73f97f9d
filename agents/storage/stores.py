"""Image stores: folders and S3-compatible services, by one client."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

import obstore
from obstore.exceptions import BaseError
from obstore.store import LocalStore, S3Store

from agents.storage.failure import Failed
from operators.contract.fabric import IMAGE_STORE, ImageStoreSpec
from operators.contract.meta import Key
from operators.contract.reasons import Reason
from operators.kernel import Cache

TIMEOUT = "60s"


class Store:
    """One image store. Whatever goes wrong is Failed."""

    def __init__(self, name: str, inner: LocalStore | S3Store, *, local: bool) -> None:
        self.name = name
        self._inner = inner
        self._local = local

    async def put(self, key: str, data: bytes) -> None:
        """Write an object; it is there only when it is whole."""
        try:
            await obstore.put_async(self._inner, key, data)
        except (BaseError, OSError) as error:
            raise self._failed(error) from error

    async def get(self, key: str) -> bytes | None:
        """Read an object, None when there is none."""
        try:
            answer = await obstore.get_async(self._inner, key)
            return bytes(await answer.bytes_async())
        except FileNotFoundError:
            return None
        except (BaseError, OSError) as error:
            raise self._failed(error) from error

    async def keys(self, prefix: str) -> AsyncIterator[tuple[str, int]]:
        """The keys of all objects beneath a prefix, with their sizes."""
        try:
            async for batch in obstore.list(self._inner, prefix):
                for each in batch:
                    yield each["path"], each["size"]
        except (BaseError, OSError) as error:
            raise self._failed(error) from error

    async def delete(self, *keys: str) -> None:
        """Remove objects; missing is fine."""
        for start in range(0, len(keys), 500):
            try:
                await obstore.delete_async(self._inner, list(keys[start : start + 500]))
            except FileNotFoundError:
                continue
            except (BaseError, OSError) as error:
                raise self._failed(error) from error

    async def settle(self) -> None:
        """Return only when what was written outlasts a loss of power."""
        if self._local:
            await asyncio.to_thread(os.sync)

    def _failed(self, error: Exception) -> Failed:
        said = str(error).strip().splitlines()
        message = f"ImageStore {self.name}: {said[0][:300] if said else type(error).__name__}"
        full = "No space left on device" in str(error)
        return Failed(Reason.POOL_FULL if full else Reason.IMAGE_STORE_UNREACHABLE, message)


@dataclass(frozen=True, slots=True)
class Stores:
    """Opens image stores by name."""

    cache: Cache
    root: str
    keys: Path
    """The folder with a folder for each store's keys: `<store>/access-key` and `secret-key`."""

    def open(self, name: str) -> Store:
        """The store of a name. Raises Failed."""
        found = self.cache.get(IMAGE_STORE, Key("", name))
        if found is None:
            message = f"there is no ImageStore {name}; make it, its objects are still there"
            raise Failed(Reason.IMAGE_STORE_NOT_FOUND, message)
        make: Callable[[str, ImageStoreSpec], Store] = self._s3 if found.spec.type == "S3" else self._folder
        try:
            return make(name, found.spec)
        except (BaseError, OSError, ValueError) as error:
            raise Failed(Reason.IMAGE_STORE_UNREACHABLE, f"ImageStore {name}: {error}"[:500]) from error

    def _folder(self, name: str, spec: ImageStoreSpec) -> Store:
        if not spec.path.startswith(f"{self.root}/") or ".." in spec.path.split("/"):
            message = f"ImageStore {name}: its path {spec.path} is not beneath {self.root}"
            raise Failed(Reason.IMAGE_STORE_UNREACHABLE, message)
        if not Path(spec.path).is_dir():
            # Never made here: an empty folder would stand in for one that is not mounted.
            message = f"ImageStore {name}: {spec.path} is not there; mount it on this host, or make it"
            raise Failed(Reason.IMAGE_STORE_UNREACHABLE, message)
        return Store(name, LocalStore(spec.path), local=True)

    def _s3(self, name: str, spec: ImageStoreSpec) -> Store:
        folder = self.keys / name
        if not (folder / "access-key").exists():
            message = f"ImageStore {name}: its keys are not mounted; name their Secret in agents.imageStoreKeys.{name}"
            raise Failed(Reason.IMAGE_STORE_UNREACHABLE, message)
        plain = spec.endpoint.startswith("http:")
        store = S3Store(
            spec.bucket,
            prefix=spec.prefix or None,
            endpoint=spec.endpoint or None,
            region=spec.region,
            access_key_id=(folder / "access-key").read_text().strip(),
            secret_access_key=(folder / "secret-key").read_text().strip(),
            virtual_hosted_style_request=False,
            client_options={"allow_http": plain, "timeout": TIMEOUT},
            retry_config={"max_retries": 3},
        )
        return Store(name, store, local=False)
