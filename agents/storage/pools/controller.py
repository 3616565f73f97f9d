"""The controller that reports this host's pools into its HostReport, once a minute and when a pool changes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import structlog

from agents.storage.driver import Drivers
from agents.storage.folders import PoolFolder, PoolOffline, Unmarked
from agents.storage.places import Pools
from agents.storage.pools.model import HostReportObj, Leftover, Probe, Seen, Sweep
from agents.storage.pools.observe import strangers, uid_of
from agents.storage.pools.plan import plan, storage_report
from agents.storage.settings import Settings
from operators.contract.fabric import HOST_REPORT, STORAGE_POOL, StorageReport
from operators.contract.meta import Key, Kind
from operators.contract.snapshots import DISK_SNAPSHOT
from operators.contract.storage import DISK, IMAGE_COPY
from operators.kernel import Outcome, Report
from operators.kernel.manager import Context

log = structlog.get_logger()

EVERY = 60.0
"""Seconds between looks: how full a disk is, nothing tells."""
FORGET = 100
"""Looks at pools after which other hosts' files are asked for anew."""
KINDS: tuple[Kind[Any, Any], ...] = (DISK, IMAGE_COPY, DISK_SNAPSHOT)


class Foreign:
    """Files of other hosts' objects on shared pools, so that the API server is not asked for them each minute."""

    def __init__(self) -> None:
        self._files: dict[str, set[str]] = {}
        self._looks = 0

    def others(self, pool: str, files: tuple[str, ...]) -> tuple[str, ...]:
        """The files that are not known to be another host's. Now and then all is forgotten: objects end, too."""
        self._looks += 1
        if self._looks % FORGET == 0:
            self._files.clear()
        return tuple(file for file in files if file not in self._files.get(pool, ()))

    def learn(self, pool: str, files: set[str]) -> None:
        """These have an object, though not one of this host."""
        self._files.setdefault(pool, set()).update(files)


class HostPools:
    """Says what pools this host reaches, how much is free, and which files nobody knows."""

    name = "pools"
    kind = HOST_REPORT
    workers = 1

    def __init__(self, context: Context, settings: Settings, drivers: Drivers) -> None:
        self._drivers = drivers
        self._context = context
        self._cache = context.cache
        self._node = settings.node
        self._pools = Pools(context.cache, settings.pool_root, settings.node)
        self._foreign = Foreign()

    def triggers(self) -> Mapping[Kind[Any, Any], Callable[[Any], Iterable[Key]]]:
        """A new or changed pool is looked at, at once."""
        return {
            HOST_REPORT: lambda host_report: (host_report.key,),
            STORAGE_POOL: lambda pool: (each.key for each in self._cache.all(HOST_REPORT)),
        }

    async def observe(self, key: Key) -> tuple[HostReportObj, Seen] | None:
        """Look at each pool; what seems unknown is asked of the API server before it is called so."""
        about = self._cache.get(HOST_REPORT, key)
        if about is None or about.spec.host_name != self._node:
            return None
        reached = {folder.name: folder for folder in self._reached()}
        probes = [await self._probe(folder) for folder in reached.values()]
        known = about.status.storage or StorageReport()
        unknown: list[str] = []
        leftovers: list[Leftover] = []
        for found in probes:
            odd = tuple(strangers(found.files, *self._cached(found.pool)))
            odd = self._foreign.others(found.pool, odd)
            if any(f"{found.pool}/{file}" not in known.unknown_files for file in odd):
                strange = tuple(strangers(odd, *await self._listed(found.pool)))
                self._foreign.learn(found.pool, set(odd) - set(strange))
                leftovers += (Leftover(reached[found.pool], file) for file in strange if uid_of(file))
                odd = strange
            unknown += (f"{found.pool}/{file}" for file in odd if not uid_of(file))
        return about, Seen(tuple(probes), tuple(unknown), tuple(leftovers))

    def plan(self, wanted: HostReportObj, seen: Seen) -> tuple[Sequence[Sweep], Outcome]:
        """See `plan`."""
        return plan(wanted, seen)

    async def act(self, action: Sweep) -> None:
        """Remove a leftover."""
        pool = action.leftover.pool
        try:
            await self._drivers.of(pool).pool.sweep(pool, action.leftover.path)
        except (PoolOffline, OSError) as error:
            log.warning("leftover_stays", file=action.leftover.path, pool=action.leftover.pool.name, error=str(error))

    def report(self, wanted: HostReportObj, seen: Seen, outcome: Outcome) -> Sequence[Report]:
        """Our part of the HostReport; the verdict is no condition of it, and its generation is others' too."""
        said = storage_report(wanted, seen)
        if said == (wanted.status.storage or StorageReport()):
            return ()
        return (Report(wanted, {"storage": said}, verdict="", observed_generation=False),)

    def _reached(self) -> Iterator[PoolFolder]:
        for pool in self._cache.all(STORAGE_POOL):
            if pool.spec.host_name in ("", self._node):
                yield self._pools.folder(pool.meta.name)

    async def _probe(self, folder: PoolFolder) -> Probe:
        try:
            driver = self._drivers.of(folder)
            return replace(await driver.pool.probe(folder), formats=driver.formats)
        except PoolOffline as error:
            return Probe(folder.name, problem=str(error), unmarked=isinstance(error, Unmarked))

    def _cached(self, pool: str) -> tuple[frozenset[str], frozenset[str]]:
        objects = [each for kind in KINDS for each in self._cache.all(kind) if each.spec.pool == pool]
        paths = frozenset(path for each in objects for path in _files_of(each.spec.path))
        return paths, frozenset(each.meta.uid for each in objects)

    async def _listed(self, pool: str) -> tuple[frozenset[str], frozenset[str]]:
        """As `_cached`, from the API server and of all hosts, since they may share the pool.

        Asked after the files were seen, so an object that a file was made for is listed unless it is gone."""
        bodies = [body for kind in KINDS for body in await self._context.store.list(kind)]
        objects = [body for body in bodies if body["spec"].get("pool") == pool]
        return (
            frozenset(path for body in objects for path in _files_of(body["spec"].get("path", ""))),
            frozenset(body["metadata"]["uid"] for body in objects),
        )


def _files_of(path: str) -> Iterator[str]:
    """The file of an object, and that of a guest's memory beside a snapshot."""
    yield path
    if path.startswith("snapshots/"):
        yield f"{path.removesuffix('.qcow2')}.memory"
