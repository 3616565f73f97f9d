"""A Host for each node that runs agents, with its HostReport and local pool, from its first pod to its removal."""
