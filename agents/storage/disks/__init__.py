"""Disks: a qcow2 file per Disk of this host."""
