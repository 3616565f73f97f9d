"""The verdict on each StoragePool: whether it can be used, and how much room it has."""
