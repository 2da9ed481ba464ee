"""The command line: `pushsvc --help`."""

from pushsvc.cli.root import main

__all__ = ["main"]
