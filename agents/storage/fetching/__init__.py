"""Fetching an image: where from (`sources`), its bytes (`download`), what they are (`inspection`), all in `imports`."""
