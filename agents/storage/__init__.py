"""The storage agent: disks, image copies and pools of its own host. Start with README.md."""
