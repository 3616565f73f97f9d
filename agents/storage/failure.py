"""How work on a file fails."""

from __future__ import annotations


class Failed(Exception):
    """It failed with a reason and a message for the object's condition."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
