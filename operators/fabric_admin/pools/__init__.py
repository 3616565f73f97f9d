"""Any StoragePool: whether it is accepted, and that it stays while Disks lie on it. And the one that hosts share."""
