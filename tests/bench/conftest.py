"""What these tests share."""

from tests.apiserver.conftest import admin, control_plane
from tests.support.fixtures import cloud, local, where

__all__ = ["admin", "cloud", "control_plane", "local", "where"]
