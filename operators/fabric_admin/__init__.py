"""Fabric Admin: a Host for each node that runs agents, the pools, and whether what was stated can be accepted.

`hosts` sees to Hosts with their HostReports and local pools, `pools` to the end of any StoragePool and to the shared
one; `shared` has what both need.
"""
