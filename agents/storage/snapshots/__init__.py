"""Snapshots: a file that stands on its own per DiskSnapshot of this host, and the way back from it."""
