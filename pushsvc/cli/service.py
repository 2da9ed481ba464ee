"""The processes a service is made of: how each is started, and where the API is."""

from typing import Any

from pushsvc.cli import session
from pushsvc.cli.processes import Recipe
from pushsvc.config import PREFIX, Settings


def recipes(read: Settings) -> list[Recipe]:
    """Return how to start the API, then each of the workers."""
    environment = session.environment(read)
    api = Recipe(name="api", arguments=("serve",), environment=environment)
    return [api, *worker_recipes(read)]


def worker_recipes(read: Settings) -> list[Recipe]:
    """Return how to start each of the worker processes.

    Beside several that have the bulk lane there is one more for the urgent lane: what keeps another
    process busy is nothing to it, and while nothing is urgent it sleeps.
    """
    environment = session.environment(read)
    lanes: list[str] = [read.lanes] * read.processes
    if read.lanes == "both" and read.processes > 1:
        lanes = ["urgent", *["bulk"] * read.processes]
    return [
        Recipe(
            name=f"worker {number}",
            arguments=("worker", "--processes", "1"),
            environment=environment | {f"{PREFIX}LANES": lane},
        )
        for number, lane in enumerate(lanes, start=1)
    ]


def url_of(read: Settings, port: int) -> str:
    """Return where an API on this port can be reached from this machine."""
    # An address that stands for all of them is none one can connect to.
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(read.host, read.host)  # noqa: S104 - read
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def addresses(url: str, read: Settings) -> dict[str, Any]:
    """Return where the parts of an API are."""
    return {"url": url, "parse": f"{url}{read.parse_mount}", "v1": f"{url}/v1"}
