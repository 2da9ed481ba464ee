"""`pushsvc demo`: the whole way of one push, on one machine, with nothing installed."""

from pushsvc.cli.demo.command import app

__all__ = ["app"]
