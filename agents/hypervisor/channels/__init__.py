"""Channels: what brings a guest's console to the replica of Console that has the client."""
