"""A Debian guest with cloud-init, for one slow test: what the tiny guest understands, others' guests must too."""
