"""Tags: free texts by free keys, in one annotation, since labels may not hold what people write."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import orjson

from operators.contract import names
from operators.contract.meta import Meta


@dataclass(frozen=True, slots=True, kw_only=True)
class TagResponse:
    """One tag of an object, as the object's own response shows it."""

    key: str
    value: str


def tags_of(meta: Meta) -> Mapping[str, str]:
    """An object's tags."""
    return texts_of(meta, names.ANNOTATION_TAGS)


def texts_of(meta: Meta, annotation: str) -> Mapping[str, str]:
    """The map that an annotation holds. What somebody else wrote there and is no map of texts counts as none."""
    text = meta.annotations.get(annotation, "")
    if not text:
        return {}
    try:
        found = orjson.loads(text)
    except orjson.JSONDecodeError:
        return {}
    return {str(key): str(value) for key, value in found.items()} if isinstance(found, dict) else {}


def written(tags: Mapping[str, str]) -> str | None:
    """The annotation's value; None, which takes it away, for no tags."""
    return orjson.dumps(dict(tags), option=orjson.OPT_SORT_KEYS).decode() if tags else None


def tag_responses(meta: Meta) -> tuple[TagResponse, ...]:
    """As responses have them."""
    return tuple(TagResponse(key=key, value=value) for key, value in sorted(tags_of(meta).items()))
