"""The read model by HTTP: lists, search, counts, capacity, topology, events and usage, with an OpenAPI description."""
