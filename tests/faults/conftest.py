"""What these tests share."""

from tests.support.fixtures import cloud, local, where

__all__ = ["cloud", "local", "where"]
