"""A HostNetwork on this host: a bridge, and the VXLAN device that joins it to the network's other hosts."""
