"""What the environment says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from operators.contract.quantity import Duration
from operators.data.webhooks.guard import Networks, networks

PORT, DATABASE, RETENTION = "DATA_PORT", "DATABASE_URL", "RETENTION"
BUS, BUS_KEY = "EVENT_BUS_URL", "EVENT_BUS_KEY"
WEBHOOK_NETWORKS = "WEBHOOK_NETWORKS"
DEFAULT_DATABASE = "sqlite:////data/cloudstack.db"


@dataclass(frozen=True, slots=True)
class Settings:
    """Read once."""

    port: int
    database: str
    """`sqlite:///<path>` or `postgresql://…`."""
    retention: timedelta
    """How long events, and usage that has ended, are kept."""
    reserved: frozenset[str]
    """Namespaces that are no tenant's."""
    bus: str = ""
    """Where every event is sent as a CloudEvent; nowhere when empty."""
    bus_key: str = field(default="", repr=False)
    """What signs them."""
    webhook_networks: Networks = ()
    """Networks inside the cloud that tenants' webhooks may lead to nonetheless."""

    @staticmethod
    def of(env: Mapping[str, str]) -> Settings:
        """From the environment. Raises ValueError."""
        own = {env["POD_NAMESPACE"], env.get("CATALOG_NAMESPACE", ""), env.get("IDENTITY_NAMESPACE", "")}
        kept = Duration.parse(env.get(RETENTION) or "8760h")
        return Settings(
            int(env.get(PORT) or "8000"),
            env.get(DATABASE) or DEFAULT_DATABASE,
            timedelta(seconds=int(kept)),
            frozenset({*own, "default"} - {""}),
            env.get(BUS, ""),
            env.get(BUS_KEY, ""),
            networks(env.get(WEBHOOK_NETWORKS, "")),
        )
