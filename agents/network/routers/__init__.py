"""A network's router on this host: a namespace with the gateway, source NAT, DHCP and DNS."""
