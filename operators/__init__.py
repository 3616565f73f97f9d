"""The control plane: one package per component, over one kernel and one contract.

`contract` (names and dataclasses) is imported by everyone, `kernel` by every component,
and no component imports another: they meet only in objects of the API server.
"""
