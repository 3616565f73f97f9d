"""Image copies: a checked, read-only qcow2 file per ImageCopy of this host."""
