"""The Webhook: where a tenant has what happens in their namespace sent."""

from __future__ import annotations

from dataclasses import dataclass

from operators.contract import names
from operators.contract.meta import Condition, Kind


@dataclass(frozen=True, slots=True)
class WebhookSpec:
    """An endpoint that gets each event of the namespace as a signed CloudEvent, at least once."""

    url: str
    """http:// or https://, of an address that everybody can reach."""
    secret: str
    """Name of a Secret of the same namespace whose entry `key` signs what is sent."""
    types: frozenset[str] = frozenset()
    """Types of events, such as `VM.CREATE` or `VM.*`; all when empty."""
    enabled: bool = True


@dataclass(frozen=True, slots=True)
class WebhookStatus:
    """Written by the Data service."""

    observed_generation: int = 0
    dead: int = 0
    """Deliveries that were given up, as far as they are still kept."""
    last_error: str = ""
    """What went wrong with the newest attempt; empty when nothing did."""
    conditions: tuple[Condition, ...] = ()


WEBHOOK = Kind(names.ORCHESTRATION, "Webhook", "webhooks", WebhookSpec, WebhookStatus)

KINDS: tuple[Kind[object, object], ...] = (WEBHOOK,)
