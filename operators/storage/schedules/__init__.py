"""Schedules: a VolumeSnapshot at each of their moments, and no more of them than are to be kept."""
