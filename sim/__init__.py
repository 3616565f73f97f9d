"""The deterministic simulation of the control plane: real components, a simulated world (see docs/simulation.md)."""
