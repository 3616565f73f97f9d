"""Prometheus metrics of the kernel, the same names in every component."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0)

QUEUE_DEPTH = Gauge("cloudstack_queue_depth", "Keys that wait for a worker.", ["controller"])
RECONCILE_SECONDS = Histogram("cloudstack_reconcile_seconds", "Time of one run.", ["controller"], buckets=_BUCKETS)
OUTCOMES = Counter("cloudstack_reconcile_outcomes", "Runs by how they ended.", ["controller", "outcome"])
API_WRITES = Counter("cloudstack_api_writes", "Writes to the API server.", ["kind", "verb", "code"])
OBJECTS = Gauge("cloudstack_cached_objects", "Objects in the cache.", ["kind"])
WATCH_EVENTS = Counter("cloudstack_watch_events", "Events from watches.", ["kind"])
WATCH_MISSED = Counter("cloudstack_watch_missed", "Changes that a resync found and the watch had not told.", ["kind"])
LEADING = Gauge("cloudstack_leading", "1 while this replica leads.", ["component"])
