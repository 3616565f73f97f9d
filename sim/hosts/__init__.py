"""Simulated hosts: their state is apart from the agents', takes time to change, fails, and finishes what it began."""
