"""What a command is made of. Parsing, validation, listApis, the documentation and permission checks read only this.

A command is a coroutine of a call and its arguments, with a decorator that says the rest; the arguments are a frozen
dataclass whose fields are made by the functions below:

    @dataclass(frozen=True, slots=True, kw_only=True)
    class Stop:
        id: VM = uuid("The ID of the virtual machine", VIRTUAL_MACHINE, required=True)
        forced: bool = boolean("Whether to cut its power")

    @command("stopVirtualMachine", "Stops a virtual machine.", item=VirtualMachineResponse, asynchronous=True)
    async def stop(call: Call, args: Stop) -> Answer: ...
"""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from operators.contract.identity import Role
from operators.contract.meta import Kind

if TYPE_CHECKING:
    from operators.api.call import Call

ArgsT = TypeVar("ArgsT")

EVERYBODY = frozenset(Role)
ADMINS = frozenset({Role.ADMIN, Role.DOMAIN_ADMIN, Role.RESOURCE_ADMIN})
ROOT_ADMIN = frozenset({Role.ADMIN})

_PARAM = "param"


@dataclass(frozen=True, slots=True)
class Param:
    """One parameter of a command."""

    name: str
    type: str
    """`string`, `integer`, `long`, `boolean`, `date`, `uuid`, `list` or `map`, as listApis names them."""
    about: str
    required: bool = False
    length: int = 255
    """Longest value, in characters."""
    kind: Kind[Any, Any] | None = None
    """Of the object that a uuid names, or each of a list of them; it is then parsed to that object."""
    field: str = ""
    every: bool = False
    """Whether `-1` stands for all objects of the kind."""


@dataclass(frozen=True, slots=True)
class Listing:
    """A page of a list."""

    total: int
    items: Sequence[object]


@dataclass(frozen=True, slots=True)
class Single:
    """One object under the command's key; without a key, its fields alone."""

    item: object


@dataclass(frozen=True, slots=True)
class Started:
    """A job. Commands that create tell the object's id beside the job's."""

    jobid: str
    id: str = ""


Answer: TypeAlias = Listing | Single | Started


@dataclass(frozen=True, slots=True, kw_only=True)
class Declared:
    """What a command takes and answers."""

    name: str
    about: str
    args: type
    item: type
    """The dataclass of what it answers with, or of each entry of its list, or of its job's result."""
    key: str = ""
    """What the item is called in the answer: `virtualmachine`."""
    envelope: str = ""
    """What the answer is called, where that is not the command's name and `response`."""
    refused: frozenset[str] = frozenset()
    """Parameters that CloudStack has and we cannot heed yet: an error, since to pass them over would mislead."""
    ignored: frozenset[str] = frozenset()
    """Parameters that CloudStack has and that change nothing here: hints, and choices there is only one of."""

    @property
    def params(self) -> Sequence[Param]:
        """Its parameters, by name."""
        return _params(self.args)


@dataclass(frozen=True, slots=True, kw_only=True)
class Command(Declared):
    """One command of a caller who was proven."""

    run: Callable[[Call, Any], Awaitable[Answer]]
    roles: frozenset[Role] = EVERYBODY
    asynchronous: bool = False


def command(
    name: str,
    about: str,
    *,
    item: type,
    key: str = "",
    envelope: str = "",
    roles: frozenset[Role] = EVERYBODY,
    asynchronous: bool = False,
    refused: str = "",
    ignored: str = "",
) -> Callable[[Callable[[Call, ArgsT], Awaitable[Answer]]], Command]:
    """Declare a command; its arguments' dataclass is read off the coroutine's annotation."""

    def declared(run: Callable[[Call, ArgsT], Awaitable[Answer]]) -> Command:
        return Command(
            name=name,
            about=about,
            args=_args_of(run),
            item=item,
            key=key,
            envelope=envelope,
            refused=frozenset(refused.split()),
            ignored=frozenset(ignored.split()),
            run=run,
            roles=roles,
            asynchronous=asynchronous,
        )

    return declared


def string(about: str, *, required: bool = False, length: int = 255) -> Any:
    """Text; empty when left out."""
    return _field("string", about, "", required=required, length=length)


def integer(about: str, *, required: bool = False) -> Any:
    """A whole number; None when left out."""
    return _field("integer", about, None, required=required)


def long(about: str, *, name: str = "") -> Any:
    """A whole number of 64 bits; None when left out."""
    return _field("long", about, None, name=name)


def boolean(about: str, *, default: bool | None = False, required: bool = False) -> Any:
    """`true` or `false`; the default when left out."""
    return _field("boolean", about, default, required=required)


def date(about: str, *, required: bool = False) -> Any:
    """A moment; None when left out."""
    return _field("date", about, None, required=required)


def uuid(about: str, kind: Kind[Any, Any], *, required: bool = False, name: str = "", every: bool = False) -> Any:
    """The very object; None when left out, and for `-1`, which stands for all where there may be `every` one."""
    return _field("uuid", about, None, required=required, kind=kind, name=name, every=every)


def uuids(about: str, kind: Kind[Any, Any]) -> Any:
    """Objects, by a comma-separated list of their uuids."""
    return _field("list", about, (), kind=kind)


def identifier(about: str, *, required: bool = False) -> Any:
    """A uuid that is not looked up: of a job, say, or of something that has no object."""
    return _field("uuid", about, "", required=required)


def words(about: str, *, required: bool = False) -> Any:
    """A comma-separated list of texts."""
    return _field("list", about, (), required=required)


def maps(about: str, *, required: bool = False) -> Any:
    """A list of maps: `tags[0].key=a&tags[0].value=b`."""
    return _field("map", about, (), required=required)


def _field(
    type_: str,
    about: str,
    default: object,
    *,
    required: bool = False,
    length: int = 255,
    kind: Kind[Any, Any] | None = None,
    name: str = "",
    every: bool = False,
) -> Any:
    param = Param(name, type_, about, required, length, kind, every=every)
    if required and not every:
        return dataclasses.field(metadata={_PARAM: param})
    return dataclasses.field(default=default, metadata={_PARAM: param})


@cache
def _params(args: type) -> tuple[Param, ...]:
    found = []
    for field in dataclasses.fields(args):
        param: Param = field.metadata[_PARAM]
        found.append(dataclasses.replace(param, name=param.name or field.name, field=field.name))
    return tuple(sorted(found, key=lambda param: param.name))


def _args_of(run: Callable[..., object]) -> type:
    hints = typing.get_type_hints(run, localns={"Call": object, "Answer": object})
    args: type = hints["args"]
    return args
