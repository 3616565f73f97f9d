"""Compute: gives every VirtualMachine a host and an Instance there, and sums up how it is.

`scheduler` chooses hosts by named filters and scores; `plan` decides the life cycle; `summary` writes the status.
"""
