"""Pools: what the HostReport says of this host's pools and of files that nobody knows."""
