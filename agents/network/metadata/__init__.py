"""The metadata service: what guests learn about themselves at 169.254.169.254 and at the address of their router."""
