"""Simulated hosts: many in one process, for measures of scale and for faults. They run no guest and hold no data."""
