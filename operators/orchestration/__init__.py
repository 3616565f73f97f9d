"""Orchestration: turns what a user asks of a VirtualMachine into Flows, and carries them out step by step.

`intents` decides which Flow a VirtualMachine needs, `flows` brings one Flow to its end; `record` is what the two
have in common, and `handlers` what they watch.
"""
