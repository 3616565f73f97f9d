"""The deterministic simulation of the whole control plane: real components, simulated world (see docs/simulation.md)."""
