"""Write `docs/reference/` from `crds/`: a page for each API group.

Run `make docs` after a change in `crds/`; a test compares.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parent.parent
CRDS = ROOT / "crds"
OUT = ROOT / "docs" / "reference"
Schema = dict[str, Any]

GROUPS = {
    "compute": "Virtual machines, the offerings they take, and the instances that run them.",
    "storage": "Volumes and images as users state them, disks and image copies as agents make them.",
    "networking": "Networks and ports as users state them, and what agents build of them on hosts.",
    "fabric": "What the operator of the cloud owns and arranges, and what its hosts report.",
    "orchestration": "Operations over several components, step by step.",
    "identity": "Domains as a tree, accounts with their namespaces, and the users who act for them.",
}

INDEX = """\
# Reference of the resources

Generated from [`crds/`](../../crds) by `make docs`; `kubectl explain` says the same.

{groups}

## Reading the tables

- `nics[].ip` is the field `ip` of each entry of the list `nics`; `inputs{{}}` is each value of a map.
- **required** fields have no default. Where a default is given, the API server fills it in.
- A *quantity* is a number of bytes such as `20Gi`, `512Mi`, `1.5G` or `1000000`, as text or as a number; a *duration*
  is text such as `30s`, `5m` or `1h30m`.
- A *reference* is an object with `name`, `uid`, and where needed `namespace` and `kind`; the uid tells it from a later
  object of the same name.
- **Rules** are checked by the API server when an object is created or changed; the sentence is what it answers.
- `cloudstack` and `cloudstack-host` are categories: `kubectl get cloudstack` lists what people state,
  `kubectl get cloudstack-host` what operators made of it for the agents of hosts (each for the host of its
  `spec.hostName`, which `kubectl get instances --field-selector spec.hostName=node1` selects by).

## Conditions

`status.conditions` is a list with one entry per type, and every type has exactly one writer.

| Field | Description |
|---|---|
{conditions}
"""


def main() -> int:
    """Write all pages and return the exit code."""
    OUT.mkdir(parents=True, exist_ok=True)
    for name, text in pages().items():
        (OUT / name).write_text(text)
    return 0


def pages() -> dict[str, str]:
    """Every page by its file name."""
    definitions = [yaml.load(path.read_text(), yaml.CSafeLoader)["spec"] for path in sorted(CRDS.glob("*.yaml"))]
    out, index = {}, []
    for group, about in GROUPS.items():
        kinds = [each for each in definitions if each["group"].split(".")[0] == group]
        # What users state comes first, then what is made of it.
        kinds.sort(key=lambda each: (is_host_side(each), each["scope"] != "Namespaced", each["names"]["kind"]))
        out[f"{group}.md"] = "\n".join(page(group, about, kinds)) + "\n"
        links = ", ".join(f"[{each['names']['kind']}]({group}.md#{each['names']['kind'].lower()})" for each in kinds)
        index.append(f"- [**{group}**]({group}.md): {about} {links}")
    conditions = schema_of(definitions[0])["properties"]["status"]["properties"]["conditions"]["items"]["properties"]
    rows = "\n".join(f"| `{name}` | {each['description']} |" for name, each in conditions.items())
    out["README.md"] = INDEX.format(groups="\n".join(index), conditions=rows)
    return out


def page(group: str, about: str, kinds: list[Schema]) -> Iterator[str]:
    """The lines of a group's page."""
    yield f"# {group}.cloudstack.dev"
    yield ""
    yield f"{about} How to read this: [README](README.md)."
    for kind in kinds:
        yield from section(kind)


def section(kind: Schema) -> Iterator[str]:
    """The lines about one kind."""
    names, schema = kind["names"], schema_of(kind)
    yield from ("", f"## {names['kind']}", "", schema["description"], "")
    spoken = " | ".join([names["plural"], *names.get("shortNames", ())])
    scope = "in a namespace" if kind["scope"] == "Namespaced" else "in the whole cluster"
    (category,), (version,) = names["categories"], kind["versions"]
    yield f"`{kind['group']}/{version['name']}`, {scope}; category `{category}`; `kubectl get {spoken}`."
    for part in ("spec", "status"):
        inner = schema["properties"][part]
        yield from (
            "",
            f"### {names['kind']} {part}",
            "",
            inner["description"],
            "",
            "| Field | Type | Description |",
            "|---|---|---|",
        )
        for path, field, required in fields(inner, ""):
            yield f"| `{path}` | {type_of(field)} | {cell(field, required=required)} |"
    rules = list(sentences(schema, ""))
    if rules:
        yield from ("", f"### {names['kind']} rules", "")
        yield from (f"- {where}{sentence}" for where, sentence in rules)


def fields(schema: Schema, prefix: str) -> Iterator[tuple[str, Schema, bool]]:
    """All fields within, depth first, with whether they are required."""
    for name, field in schema.get("properties", {}).items():
        yield f"{prefix}{name}", field, name in schema.get("required", ())
        if name == "conditions" or is_reference(field):
            continue
        if field.get("type") == "array":
            yield from fields(field["items"], f"{prefix}{name}[].")
        else:
            yield from fields(field, f"{prefix}{name}.")


def type_of(field: Schema) -> str:
    """A field's type in a few words."""
    if is_reference(field):
        return "reference"
    if field.get("x-kubernetes-int-or-string"):
        return "quantity" if "Ki" in field["pattern"] else "duration"
    if field["type"] == "array":
        inner = type_of(field["items"])
        return f"list of {inner}" if field["x-kubernetes-list-type"] != "set" else f"set of {inner}"
    if "additionalProperties" in field:
        return f"map to {type_of(field['additionalProperties'])}"
    if "enum" in field:
        return "one of " + ", ".join(f"`{each}`" for each in field["enum"])
    return "time" if field.get("format") == "date-time" else str(field["type"])


def cell(field: Schema, *, required: bool) -> str:
    """A field's description with what limits it."""
    notes = ["**required**"] if required else []
    if field.get("default") not in (None, {}):
        value = field["default"]
        shown = (
            ", ".join(value) if isinstance(value, list) else str(value).lower() if isinstance(value, bool) else value
        )
        notes.append(f"default `{shown}`")
    if "maxItems" in field and field["maxItems"] < 64:
        notes.append(f"at most {field['maxItems']}")
    if field.get("maxLength", 0) > 255 and field["type"] == "string" and "ritten by the user" in field["description"]:
        notes.append(f"at most {field['maxLength']} characters")
    text = field["description"].replace("|", "\\|")
    return f"{text} ({'; '.join(notes)})" if notes else text


def sentences(schema: Schema, path: str) -> Iterator[tuple[str, str]]:
    """The sentences of all rules within, with where they apply."""
    for rule in schema.get("x-kubernetes-validations", ()):
        yield (f"`{path}`: " if path not in ("", "spec") else ""), rule["message"]
    for name, inner in schema.get("properties", {}).items():
        yield from sentences(inner, f"{path}.{name}".strip("."))
    if "items" in schema:
        yield from sentences(schema["items"], f"{path}[]")


def schema_of(definition: Schema) -> Schema:
    """The schema of a kind's objects."""
    return dict(definition["versions"][0]["schema"]["openAPIV3Schema"])


def is_host_side(definition: Schema) -> bool:
    """Whether operators make it for the agents of hosts."""
    return bool(definition["versions"][0].get("selectableFields"))


def is_reference(field: Schema) -> bool:
    """Whether it is a reference to an object."""
    return set(field.get("properties", ())) == {"name", "uid", "namespace", "kind"}


if __name__ == "__main__":
    sys.exit(main())
