"""Snapshots of virtual machines: a VolumeSnapshot for each disk, all of one moment; the way back; the tree."""
