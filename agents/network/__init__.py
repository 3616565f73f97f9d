"""The network agent: bridges, VXLAN segments, ports and routers of its host, as the API server has them."""
