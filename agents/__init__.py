"""The agents: what runs on each hypervisor host, watching only its own host's objects."""
