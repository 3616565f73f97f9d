"""Webhooks: events as CloudEvents to HTTP endpoints, at least once, signed, with back-off; failures stay visible."""
