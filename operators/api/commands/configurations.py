"""Settings, as far as CloudStack has a name for them: read here, and set by the chart's values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from operators.api import userdata
from operators.api.call import MOST, Call, ListArgs, contains, listing
from operators.api.commands.volumes import LARGEST
from operators.api.declare import ROOT_ADMIN, Answer, command, string
from operators.api.sessions import TIMEOUT


@dataclass(frozen=True, slots=True, kw_only=True)
class ListConfigurations(ListArgs):
    """Arguments."""

    name: str = string("Name of the setting")
    category: str = string("Category of the setting")
    group: str = string("Group of the setting")


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigurationResponse:
    """A setting."""

    name: str
    value: str
    description: str
    displaytext: str
    category: str = "Advanced"
    component: str = "api"
    group: str = "Miscellaneous"
    subgroup: str = "Others"
    type: str
    scope: str = "global"
    isdynamic: bool = False


@command(
    "listConfigurations",
    "Lists settings that CloudStack has a name for. They are changed by the chart's values.",
    item=ConfigurationResponse,
    key="configuration",
    roles=ROOT_ADMIN,
    refused="accountid clusterid domainid imagestoreuuid parent storageid subgroup zoneid",
)
async def list_configurations(call: Call, args: ListConfigurations) -> Answer:
    """What this very replica goes by."""
    found = [
        each
        for each in _settings(call)
        if args.name in ("", each.name)
        and args.category.lower() in ("", each.category.lower())
        and args.group.lower() in ("", each.group.lower())
        and contains(args.keyword, each.name)
    ]
    return listing(args, found, lambda each: each)


def _settings(call: Call) -> Sequence[ConfigurationResponse]:
    throttle = call.throttle
    return (
        _setting("api.throttling.enabled", throttle.enabled, "Whether the calls of an account are limited"),
        _setting("api.throttling.interval", int(throttle.interval), "Seconds for which calls are counted"),
        _setting("api.throttling.max", throttle.limit, "Calls that an account may make in that time; 0 for any number"),
        _setting("default.page.size", MOST, "Entries of a page, and the most of them"),
        _setting("storage.max.volume.size", LARGEST, "GB of the largest volume"),
        _setting("custom.diskoffering.size.min", 1, "GB of the smallest volume whose size its user chooses"),
        _setting("custom.diskoffering.size.max", LARGEST, "GB of the largest volume whose size its user chooses"),
        _setting("vm.userdata.max.length", userdata.LONGEST, "Bytes of user data, once decoded"),
        _setting("session.timeout", TIMEOUT // 60, "Minutes after which an idle session ends"),
    )


def _setting(name: str, value: bool | int, about: str) -> ConfigurationResponse:
    boolean = isinstance(value, bool)
    text = str(value).lower() if boolean else str(value)
    shown = name.replace(".", " ").capitalize()
    kind = "Boolean" if boolean else "Number"
    return ConfigurationResponse(name=name, value=text, description=about, displaytext=shown, type=kind)
