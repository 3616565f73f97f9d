"""Backups: a DiskBackup for each VolumeBackup, one at a time of each Volume, and their end."""
