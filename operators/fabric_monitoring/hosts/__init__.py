"""The verdict on each Host: whether its agents are heard of, and where it is reached."""
