"""PostgreSQL and Redis started from Python wheels, for the demo, for development and for tests.

Each server is started by a keeper, a process of its own, and shared by all who call `start` on the
same data directory. The keeper stops it when the last of them leaves or dies.
"""

from pushsvc.embedded.errors import (
    DirectoryNotReachableError,
    EmbeddedError,
    NoWheelError,
    ServerStartError,
)
from pushsvc.embedded.home import Kind, default_data_directory
from pushsvc.embedded.server import Running, start, stopped

__all__ = [
    "DirectoryNotReachableError",
    "EmbeddedError",
    "Kind",
    "NoWheelError",
    "Running",
    "ServerStartError",
    "default_data_directory",
    "start",
    "stopped",
]
