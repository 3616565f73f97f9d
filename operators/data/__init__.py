"""The Data service: the read model of every object, history and usage, and the tenants' namespaces."""
