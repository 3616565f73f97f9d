"""Captures: what is copied from running guests' disks, where a DiskSnapshot asks for it."""
