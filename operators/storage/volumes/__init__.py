"""Volumes: from a user's spec to a Disk on a pool, and back."""
