"""Upload: takes in image files that people bring from their own machines, and serves them to the storage agents."""
