"""The sink's application where there is no nginx: says yes, and writes down the path."""

import os
import time
from pathlib import Path
from typing import Any


class AcceptAll:
    """An RSGI application; one process, so one file."""

    def __init__(self) -> None:
        # Lives as long as the process.
        self._paths = Path(os.environ["SINK_PATHS"]).open("w", buffering=1 << 18)  # noqa: SIM115
        self._times = Path(os.environ["SINK_TIMES"]).open("w", buffering=1 << 18)  # noqa: SIM115

    async def __rsgi__(self, scope: Any, protocol: Any) -> None:
        """Answer 200."""
        if scope.path.startswith("/3/device/feedfeed"):
            self._times.write(f"{time.time():.3f} {scope.path}\n")
        else:
            self._paths.write(scope.path + "\n")
        protocol.response_empty(200, [])

    def __rsgi_del__(self, _loop: Any) -> None:
        """Write out what is buffered."""
        self._paths.close()
        self._times.close()


app = AcceptAll()
