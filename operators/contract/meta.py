"""What every object has: metadata, conditions and references, and the typed object itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from operators.contract.codec import ContractError, Json, from_wire
from operators.contract.names import CATEGORY, CATEGORY_HOST, VERSION

SpecT = TypeVar("SpecT", covariant=True)
StatusT = TypeVar("StatusT", covariant=True)


@dataclass(frozen=True, slots=True, order=True)
class Key:
    """Where an object is: its namespace ("" for a cluster-scoped kind) and name."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}" if self.namespace else self.name


@dataclass(frozen=True, slots=True)
class Owner:
    """An owner reference."""

    api_version: str
    kind: str
    name: str
    uid: str
    controller: bool = False
    block_owner_deletion: bool = False


@dataclass(frozen=True, slots=True)
class Meta:
    """The part of `metadata` that controllers use."""

    name: str
    namespace: str = ""
    uid: str = ""
    generation: int = 0
    resource_version: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    finalizers: tuple[str, ...] = ()
    owner_references: tuple[Owner, ...] = ()
    creation_timestamp: str = ""
    deletion_timestamp: str = ""

    @property
    def key(self) -> Key:
        """Where the object is."""
        return Key(self.namespace, self.name)

    @property
    def deleting(self) -> bool:
        """Whether its deletion was asked for."""
        return bool(self.deletion_timestamp)

    @property
    def guard(self) -> dict[str, str]:
        """What a guarded apply says in its metadata. Both: by the version alone, a missing object would be made."""
        return {"uid": self.uid, "resourceVersion": self.resource_version}

    def finalizers_with(self, name: str) -> tuple[str, ...]:
        """The finalizers once `name` is among them."""
        return self.finalizers if name in self.finalizers else (*self.finalizers, name)

    def finalizers_without(self, name: str) -> tuple[str, ...]:
        """The finalizers once `name` is not among them."""
        return tuple(each for each in self.finalizers if each != name)


@dataclass(frozen=True, slots=True)
class Condition:
    """One entry of `status.conditions`, a list-map keyed by `type`; each type has exactly one writer."""

    type: str
    status: str
    """"True", "False" or "Unknown"."""
    reason: str
    """CamelCase, from `operators.contract.reasons`."""
    message: str = ""
    """A sentence that tells the reader what to do."""
    last_transition_time: str = ""
    observed_generation: int = 0

    @property
    def true(self) -> bool:
        """Whether the condition holds."""
        return self.status == "True"


def condition(conditions: tuple[Condition, ...], type_: str) -> Condition | None:
    """The condition of the given type, if it was reported."""
    return next((each for each in conditions if each.type == type_), None)


def holds(conditions: tuple[Condition, ...], type_: str) -> bool:
    """Whether the condition of the given type was reported as True."""
    found = condition(conditions, type_)
    return found is not None and found.true


@dataclass(frozen=True, slots=True)
class ObjectRef:
    """A reference to one very object, told from a later one of the same name by its uid."""

    name: str
    uid: str
    namespace: str = ""
    """Empty where it is the referrer's own."""
    kind: str = ""


@dataclass(frozen=True, slots=True)
class Obj(Generic[SpecT, StatusT]):
    """An object of the API, parsed once."""

    kind: Kind[SpecT, StatusT]
    meta: Meta
    spec: SpecT
    status: StatusT

    @property
    def key(self) -> Key:
        """Where the object is."""
        return self.meta.key

    @property
    def ref(self) -> ObjectRef:
        """A reference to this very object."""
        return ObjectRef(self.meta.name, self.meta.uid, self.meta.namespace, self.kind.kind)

    @property
    def owner(self) -> Owner:
        """An owner reference to this object, as its controller."""
        return Owner(
            self.kind.api_version,
            self.kind.kind,
            self.meta.name,
            self.meta.uid,
            controller=True,
            block_owner_deletion=True,
        )


@dataclass(frozen=True, slots=True, eq=False)
class Kind(Generic[SpecT, StatusT]):
    """One kind of the API: where it is served, how it is parsed."""

    group: str
    kind: str
    plural: str
    spec: type[SpecT]
    status: type[StatusT]
    namespaced: bool = True
    host_side: bool = False
    """Spec by its operator, status by the agent of `spec.hostName`."""
    version: str = VERSION

    @property
    def category(self) -> str:
        """The word under which `kubectl get` lists it together with others."""
        return CATEGORY_HOST if self.host_side else CATEGORY

    @property
    def api_version(self) -> str:
        """`group/version`, or `v1` for the core group."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def crd(self) -> str:
        """The name of its CustomResourceDefinition, which RBAC and quotas use too."""
        return f"{self.plural}.{self.group}"

    def parse(self, body: Mapping[str, Any]) -> Obj[SpecT, StatusT]:
        """Parse an object's JSON. Raises ContractError that names the object and the field."""
        try:
            return Obj(
                kind=self,
                meta=from_wire(Meta, body["metadata"]),
                spec=from_wire(self.spec, body.get("spec")),
                status=from_wire(self.status, body.get("status")),
            )
        except ContractError as error:
            metadata = body.get("metadata", {})
            raise ContractError(
                f"{self.kind} {metadata.get('namespace', '')}/{metadata.get('name')}: {error}"
            ) from error

    def body(self, key: Key, *, spec: Any = None, **metadata: Any) -> Json:
        """A JSON object to create or apply: `spec` is plain JSON, `metadata` as on the wire."""
        where = {"name": key.name} | ({"namespace": key.namespace} if self.namespaced else {})
        out: Json = {"apiVersion": self.api_version, "kind": self.kind, "metadata": where | metadata}
        if spec is not None:
            out["spec"] = spec
        return out

    def __repr__(self) -> str:
        return f"Kind({self.crd})"
