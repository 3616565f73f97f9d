"""The network agent's part of its host's HostReport: underlay address, bridges, and what nobody knows."""
