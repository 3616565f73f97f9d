"""Snapshots: a DiskSnapshot for each VolumeSnapshot, the way back, and their end."""
