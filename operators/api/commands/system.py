"""What this API is: its commands and what it can do."""

from __future__ import annotations

import typing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from functools import cache
from typing import Any

from operators.api import errors
from operators.api.call import Call
from operators.api.declare import Answer, Command, Listing, Single, command, string
from operators.api.rights import may_call
from operators.api.wire import VERSION, Date, Long, Short


@dataclass(frozen=True, slots=True, kw_only=True)
class ListApis:
    """Arguments."""

    name: str = string("Name of the command")


@dataclass(frozen=True, slots=True, kw_only=True)
class ParamResponse:
    """A parameter of a command."""

    name: str
    description: str
    type: str
    length: int
    required: bool
    related: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldResponse:
    """A field of an answer."""

    name: str
    type: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiResponse:
    """A command."""

    name: str
    description: str
    isasync: bool
    related: str
    params: tuple[ParamResponse, ...]
    response: tuple[FieldResponse, ...]


@command(
    "listApis",
    "Lists the commands that the caller may use, with what they take and answer.",
    item=ApiResponse,
    key="api",
)
async def list_apis(call: Call, args: ListApis) -> Answer:
    """Exactly what is implemented."""
    mine = [
        each
        for each in call.commands
        if may_call(call.cloud, call.caller.account, each) and args.name.lower() in ("", each.name.lower())
    ]
    if args.name and not mine:
        raise errors.invalid(f"command name specified is not available: {args.name}")
    return Listing(len(mine), [described(call.commands, each) for each in mine])


def described(commands: typing.Sequence[Command], one: Command) -> ApiResponse:
    """What listApis says of a command."""
    params = tuple(
        ParamResponse(
            name=param.name,
            description=param.about,
            type=param.type,
            length=param.length,
            required=param.required,
            related=_lister(commands, param.kind.plural[:-1]) if param.kind else None,
        )
        for param in one.params
    )
    related = ",".join(each.name for each in commands if each.key and each.key == one.key)
    answer = tuple(FieldResponse(name=name, type=type_) for name, type_ in response_fields(one.item).items())
    return ApiResponse(
        name=one.name,
        description=one.about,
        isasync=one.asynchronous,
        related=related,
        params=params,
        response=answer,
    )


def _lister(commands: typing.Sequence[Command], singular: str) -> str | None:
    known = {"computeoffering": "serviceoffering", "image": "template", "rack": "pod", "hostgroup": "cluster"}
    key = known.get(singular, singular)
    return ",".join(each.name for each in commands if each.key == key and each.name.startswith("list")) or None


@cache
def response_fields(item: type) -> Mapping[str, str]:
    """The fields of a response with CloudStack's names for their types."""
    hints = typing.get_type_hints(item)
    return {field.name: _type_of(hints[field.name]) for field in fields(item)}


def _type_of(hint: Any) -> str:
    inner = [each for each in _bare(hint) if each is not type(None)]
    (only,) = inner
    origin = typing.get_origin(only) or only
    return _TYPES.get(origin) or str(getattr(origin, "WIRE_TYPE", "responseobject"))


def _bare(hint: Any) -> Iterator[Any]:
    yield from typing.get_args(hint) if type(None) in typing.get_args(hint) else (hint,)


_TYPES: Mapping[Any, str] = {
    str: "string",
    int: "integer",
    bool: "boolean",
    Long: "long",
    Short: "short",
    Date: "date",
    tuple: "list",
    Mapping: "map",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ListCapabilities:
    """Arguments: none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CapabilityResponse:
    """What this cloud can do."""

    cloudstackversion: str = VERSION
    securitygroupsenabled: bool = False
    dynamicrolesenabled: bool = True
    userpublictemplateenabled: bool = True
    supportELB: str = "false"  # noqa: N815 - CloudStack's spelling
    projectinviterequired: bool = False
    allowusercreateprojects: bool = True
    customdiskofferingminsize: Long = Long(1)
    customdiskofferingmaxsize: Long = Long(65536)
    regionsecondaryenabled: bool = False
    kvmsnapshotenabled: bool = True
    """Whether snapshots can be taken of volumes whose guests run."""
    allowuserviewdestroyedvm: bool = True
    allowuserexpungerecovervm: bool = True
    allowuserexpungerecovervolume: bool = False
    """Users expunge volumes, and nobody recovers one."""
    allowuserviewalldomainaccounts: bool = False
    allowuserforcestopvm: bool = True
    kubernetesserviceenabled: bool = False
    kubernetesclusterexperimentalfeaturesenabled: bool = False
    defaultuipagesize: Long = Long(20)
    instanceleaseenabled: bool = False
    dynamicscalingenabled: bool = True
    additionalconfigenabled: bool = False
    apilimitmax: int | None
    """Calls of an account in the interval; absent where any number may be made."""
    apilimitinterval: int | None
    """Seconds."""


@command("listCapabilities", "Lists what this cloud can do.", item=CapabilityResponse, key="capability")
async def list_capabilities(call: Call, args: ListCapabilities) -> Answer:
    """Plain facts; the tests hold the commands to them."""
    throttle = call.throttle
    return Single(
        CapabilityResponse(
            apilimitmax=throttle.limit if throttle.enabled else None,
            apilimitinterval=int(throttle.interval) if throttle.enabled else None,
        )
    )
