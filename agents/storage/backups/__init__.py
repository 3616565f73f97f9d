"""Backups: what is new of a snapshot, copied to an image store, and the way back."""
