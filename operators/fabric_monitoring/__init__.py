"""Fabric Monitoring: what heartbeats and reports say of hosts and pools.

`heartbeats` listens to the agents' Leases, `hosts` makes a verdict of it for each Host, `pools` one of the reports for
each StoragePool.
"""
