"""An API server in memory that answers as the real one does; `tests/sim/faithful` compares the two."""
