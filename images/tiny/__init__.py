"""A guest that boots in seconds: see README.md."""
