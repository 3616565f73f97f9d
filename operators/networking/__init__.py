"""Networking: networks and ports as users state them, resolved into segments, routers and bindings of hosts."""
