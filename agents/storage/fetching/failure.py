"""How fetching an image fails."""

from __future__ import annotations


class Failed(Exception):
    """Fetching failed with a reason and a message for the ImageCopy's condition."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
