"""Console: the place where a client's WebSocket and a guest's console meet."""
