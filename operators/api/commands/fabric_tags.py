"""The tags of hosts and pools, by which offerings choose them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from operators.api.call import Call, ListArgs, contains, listing
from operators.api.declare import ROOT_ADMIN, Answer, Listing, command
from operators.contract.fabric import HOST, STORAGE_POOL


@dataclass(frozen=True, slots=True, kw_only=True)
class TagResponse:
    """A tag, with the id of the first that bears it."""

    id: str
    name: str


@command("listHostTags", "Lists the tags of hosts.", item=TagResponse, key="hosttag", roles=ROOT_ADMIN)
async def list_host_tags(call: Call, args: ListArgs) -> Answer:
    """Each once."""
    return _each_once(args, ((tag, host.meta.uid) for host in call.cloud.all(HOST) for tag in host.spec.tags))


@command("listStorageTags", "Lists the tags of pools.", item=TagResponse, key="storagetag", roles=ROOT_ADMIN)
async def list_storage_tags(call: Call, args: ListArgs) -> Answer:
    """Each once."""
    return _each_once(args, ((tag, pool.meta.uid) for pool in call.cloud.all(STORAGE_POOL) for tag in pool.spec.tags))


def _each_once(args: ListArgs, found: Iterable[tuple[str, str]]) -> Listing:
    first: dict[str, str] = {}
    for tag, uid in found:
        first.setdefault(tag, uid)
    tags = [TagResponse(id=uid, name=tag) for tag, uid in sorted(first.items()) if contains(args.keyword, tag)]
    return listing(args, tags, lambda each: each)
