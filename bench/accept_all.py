"""The sink's application where there is no nginx: says yes, and writes down the path."""

import os
import time
from pathlib import Path
from typing import Any, Final

from bench.sink import APNS_PATHS, FCM_NAME, TIMED, TOKEN_ANSWER, TOKEN_PATH

JSON: Final = [("content-type", "application/json")]


class AcceptAll:
    """An RSGI application; one process, so one file."""

    def __init__(self) -> None:
        # Lives as long as the process.
        self._paths = Path(os.environ["SINK_PATHS"]).open("w", buffering=1 << 18)  # noqa: SIM115
        self._times = Path(os.environ["SINK_TIMES"]).open("w", buffering=1 << 18)  # noqa: SIM115

    async def __rsgi__(self, scope: Any, protocol: Any) -> None:
        """Answer 200."""
        if scope.path == TOKEN_PATH:
            protocol.response_str(200, JSON, TOKEN_ANSWER)
            return
        if scope.path.startswith(f"{APNS_PATHS}{TIMED}"):
            self._times.write(f"{time.time():.3f} {scope.path}\n")
        else:
            self._paths.write(scope.path + "\n")
        if scope.path.startswith("/v1/"):
            protocol.response_str(200, JSON, FCM_NAME)
        else:
            protocol.response_empty(200, [])

    def __rsgi_del__(self, _loop: Any) -> None:
        """Write out what is buffered."""
        self._paths.close()
        self._times.close()


app = AcceptAll()
