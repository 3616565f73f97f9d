"""Images: which one a name means, the copies on pools, and their end."""
