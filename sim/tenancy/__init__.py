"""Tenants: the API and Data components in a world, and people who call the one and are told of by the other."""
