"""The event bus: events as signed CloudEvents to an HTTP endpoint, at least once, with back-off; failures show."""
