"""Migrations: a running guest is moved to another host, with never more than one of it (docs/adr/0017)."""
