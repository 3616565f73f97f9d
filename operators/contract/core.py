"""The few fields of Kubernetes's own kinds that components read: nodes, pods and coordination leases.

They are not ours, so they stand in no list of our kinds and have no CRD here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from operators.contract.meta import Kind


@dataclass(frozen=True, slots=True)
class Nothing:
    """The spec or status of a kind of which nobody reads it."""


@dataclass(frozen=True, slots=True)
class CoreCondition:
    """A condition as Kubernetes writes it, often without a reason."""

    type: str
    status: str
    reason: str = ""
    message: str = ""
    last_transition_time: str = ""


@dataclass(frozen=True, slots=True)
class NodeSpec:
    """A node, as its kubelet registered it."""

    unschedulable: bool = False


@dataclass(frozen=True, slots=True)
class NodeAddress:
    """One of a node's addresses; `type` is `InternalIP`, `ExternalIP` or `Hostname`."""

    type: str
    address: str


@dataclass(frozen=True, slots=True)
class NodeStatus:
    """What a node's kubelet reports."""

    addresses: tuple[NodeAddress, ...] = ()
    conditions: tuple[CoreCondition, ...] = ()


@dataclass(frozen=True, slots=True)
class PodSpec:
    """Where a pod runs."""

    node_name: str = ""


@dataclass(frozen=True, slots=True)
class PodStatus:
    """How a pod is."""

    phase: str = ""
    conditions: tuple[CoreCondition, ...] = ()


@dataclass(frozen=True, slots=True)
class LeaseSpec:
    """A coordination lease: who leads, or that somebody is alive. Times are MicroTime, as text."""

    holder_identity: str = ""
    lease_duration_seconds: int = 0
    acquire_time: str = ""
    renew_time: str = ""
    lease_transitions: int = 0


@dataclass(frozen=True, slots=True)
class QuotaSpec:
    """The most that a namespace may have, as Kubernetes writes it: `count/volumes.storage.cloudstack.dev: "5"`."""

    hard: Mapping[str, str] = field(default_factory=dict)


NODE = Kind("", "Node", "nodes", NodeSpec, NodeStatus, namespaced=False, version="v1")
POD = Kind("", "Pod", "pods", PodSpec, PodStatus, version="v1")
LEASE = Kind("coordination.k8s.io", "Lease", "leases", LeaseSpec, Nothing, version="v1")
SECRET = Kind("", "Secret", "secrets", Nothing, Nothing, version="v1")
"""Its `data` is read from the JSON, base64 and all; no cache holds it."""
NAMESPACE = Kind("", "Namespace", "namespaces", Nothing, Nothing, namespaced=False, version="v1")
QUOTA = Kind("", "ResourceQuota", "resourcequotas", QuotaSpec, Nothing, version="v1")
ROLE_BINDING = Kind("rbac.authorization.k8s.io", "RoleBinding", "rolebindings", Nothing, Nothing, version="v1")
"""Its `roleRef` and `subjects` are in the JSON alone; what was written there last is said by an annotation."""
TOKEN_REVIEW = Kind(
    "authentication.k8s.io", "TokenReview", "tokenreviews", Nothing, Nothing, namespaced=False, version="v1"
)
SUBJECT_ACCESS_REVIEW = Kind(
    "authorization.k8s.io",
    "SubjectAccessReview",
    "subjectaccessreviews",
    Nothing,
    Nothing,
    namespaced=False,
    version="v1",
)
