"""What commands answer: frozen dataclasses in CloudStack's names and functions that fill them, a module a resource."""
