"""What the simulated API server serves: our kinds by their CRDs in `crds/`, and a few of Kubernetes's own."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import yaml

from sim.store.schema import Json, Node, Shape, compiled

CRDS = Path(__file__).resolve().parents[2] / "crds"

ATOM = Node(Shape.ATOMIC)
ANYTHING = Node(Shape.MAP)
ANYTHING.item = ANYTHING
METADATA = Node(
    Shape.STRUCT,
    fields={
        "labels": Node(Shape.MAP, item=ATOM),
        "annotations": Node(Shape.MAP, item=ATOM),
        "finalizers": Node(Shape.SET, item=ATOM),
        "ownerReferences": Node(Shape.LIST_MAP, item=ATOM, keys=("uid",)),
    },
    open=True,
)


@dataclass(frozen=True, eq=False)
class Resource:
    """One served resource."""

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool
    schema: Node
    """Of the whole object; `metadata` included, as far as it can be owned."""
    validated: bool
    selectable: tuple[str, ...] = ()
    """Fields beside name and namespace that a selector may use, such as `spec.hostName`."""
    status: bool = True
    """Whether status is a subresource."""

    @property
    def api_version(self) -> str:
        """`group/version`, or `v1`."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def named(self) -> str:
        """As messages and quotas name it."""
        return f"{self.plural}.{self.group}" if self.group else self.plural


@cache
def resources() -> dict[tuple[str, str], Resource]:
    """All that is served, by group and plural."""
    out: dict[tuple[str, str], Resource] = {}
    for file in sorted(CRDS.glob("*.yaml")):
        crd = yaml.load(file.read_text(), yaml.CSafeLoader)
        if crd["kind"] == "CustomResourceDefinition":
            each = of_crd(crd)
            out[each.group, each.plural] = each
    for group, version, plural, kind, namespaced, status in (
        ("", "v1", "nodes", "Node", False, True),
        ("", "v1", "pods", "Pod", True, True),
        ("", "v1", "namespaces", "Namespace", False, True),
        ("", "v1", "secrets", "Secret", True, False),
        ("", "v1", "resourcequotas", "ResourceQuota", True, True),
        ("rbac.authorization.k8s.io", "v1", "rolebindings", "RoleBinding", True, False),
        ("coordination.k8s.io", "v1", "leases", "Lease", True, False),
    ):
        fields = dict.fromkeys(("spec", "status", "data", "stringData", "roleRef", "subjects"), ANYTHING) | {
            "metadata": METADATA
        }
        schema = Node(Shape.STRUCT, fields=fields, open=True)
        out[group, plural] = Resource(group, version, plural, kind, namespaced, schema, False, status=status)
    return out


def of_crd(crd: Json) -> Resource:
    """The resource that a CustomResourceDefinition describes."""
    spec = crd["spec"]
    (version,) = (each for each in spec["versions"] if each["storage"])
    schema = compiled(version["schema"]["openAPIV3Schema"])
    schema.fields["metadata"] = METADATA
    return Resource(
        spec["group"],
        version["name"],
        spec["names"]["plural"],
        spec["names"]["kind"],
        spec["scope"] == "Namespaced",
        schema,
        True,
        tuple(each["jsonPath"].removeprefix(".") for each in version.get("selectableFields", ())),
        "status" in version.get("subresources", {}),
    )
