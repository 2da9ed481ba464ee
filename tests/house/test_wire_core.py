"""The core of the wire is the whole of it but for a few named files."""

from pathlib import Path

from tests.house.wire_core import ROOT, core

WIRE = "pushsvc/delivery/wire"

#: What does I/O, or only names things: held by tests over sockets.
SHELL = {"__init__", "dial", "feed", "link", "origin", "pool", "tls"}


def test_every_file_of_the_wire_is_core_or_shell() -> None:
    """A new file that nobody names would be held neither to purity nor to full coverage."""
    files = {path.stem for path in (ROOT / WIRE).glob("*.py")}
    assert files == {Path(path).stem for path in core()} | SHELL
