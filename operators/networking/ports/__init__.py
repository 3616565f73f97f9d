"""Ports: each gets its addresses from its network's ledger and a binding on the host of its Instance."""
