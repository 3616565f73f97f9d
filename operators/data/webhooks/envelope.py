"""An event as a CloudEvent, and its signature.

The signature is that of Standard Webhooks: HMAC-SHA256 over `<id>.<timestamp>.<body>`, in base64 after `v1,`.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping

import orjson

from operators.data.history.queries import EventRow

SPEC = "1.0"
CONTENT_TYPE = "application/cloudevents+json"


def cloud_event(event: EventRow) -> bytes:
    """The body: a structured-mode CloudEvent."""
    body = {
        "specversion": SPEC,
        "id": event.id,
        "source": f"/cloudstack/{event.namespace}" if event.namespace else "/cloudstack",
        "type": f"dev.cloudstack.{event.type.lower()}",
        "subject": f"{event.about_kind}/{event.about_id}",
        "time": event.created.isoformat(),
        "datacontenttype": "application/json",
        "data": {
            "description": event.description,
            "level": event.level,
            "state": event.state,
            "name": event.about_name,
            "parent": event.parent,
        },
    }
    return orjson.dumps(body)


def headers(event_id: str, at: int, body: bytes, key: bytes) -> Mapping[str, str]:
    """What goes beside it; a receiver checks the signature and forgets what is older than it likes."""
    return {
        "Content-Type": CONTENT_TYPE,
        "webhook-id": event_id,
        "webhook-timestamp": str(at),
        "webhook-signature": f"v1,{signature(event_id, at, body, key)}",
    }


def signature(event_id: str, at: int, body: bytes, key: bytes) -> str:
    """In base64."""
    text = f"{event_id}.{at}.".encode() + body
    return base64.b64encode(hmac.new(key, text, hashlib.sha256).digest()).decode()
