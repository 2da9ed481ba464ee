"""The demo's push over the real HTTP API: sent as a Parse client would, watched through /v1."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import aiohttp
from rich.progress import Progress

from pushsvc.cli import watching
from pushsvc.cli.demo import fleet
from pushsvc.cli.demo.compare import Seen
from pushsvc.cli.demo.stage import PARSE_MOUNT, Cast
from pushsvc.cli.failures import CommandError
from pushsvc.model import PushState

PUSH: Final[Mapping[str, Any]] = {
    "channels": [fleet.EVERYONE],
    "data": {
        "alert": "Hello from the pushsvc demo",
        "title": "pushsvc",
        "badge": "Increment",
        "sound": "chime.caf",
        "demo": {"story": 1},
    },
}
#: The share of devices that is called most: fewer have a faulty token.
MOST: Final = 0.95
PAGE: Final = 10_000
GATEWAYS: Final = ("apns", "fcm", "wns")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """The push, closed."""

    #: as GET /v1/pushes/{id} has it
    push: Mapping[str, Any]
    #: from the POST to the first look that saw the push closed
    seconds: float
    #: the same to the first look that saw most devices with their outcome: what had no fault
    seconds_to_most: float


class Api:
    """The service's API as a client sees it."""

    def __init__(self, session: aiohttp.ClientSession, url: str, cast: Cast) -> None:
        self._session = session
        self._url = url
        self._cast = cast

    async def post(self) -> str:
        """Send the push; return its id."""
        headers = {
            "X-Parse-Application-Id": self._cast.app.application_id,
            "X-Parse-Master-Key": self._cast.keys["master"],
        }
        url = f"{self._url}{PARSE_MOUNT}/push"
        async with self._session.post(url, json=PUSH, headers=headers) as response:
            if response.status != 200:  # noqa: PLR2004 - RFC 9110 OK
                raise _refused(url, response.status, await response.text())
            return response.headers["X-Parse-Push-Status-Id"]

    async def get(self, push_id: str) -> dict[str, Any]:
        """Return the push with its live counts."""
        headers = {"Authorization": f"Bearer {self._cast.keys['api']}"}
        url = f"{self._url}/v1/pushes/{push_id}"
        async with self._session.get(url, headers=headers) as response:
            if response.status != 200:  # noqa: PLR2004 - RFC 9110 OK
                raise _refused(url, response.status, await response.text())
            found: dict[str, Any] = await response.json()
            return found


async def send(api: Api, bar: Progress) -> Sent:
    """Send the push, and show its progress until it is closed."""
    begun = time.monotonic()
    push_id = await api.post()
    pushes: list[dict[str, Any]] = []
    #: when most devices had their outcome, and when the push was closed
    moments: list[float] = []

    async def look() -> watching.Look:
        push = await api.get(push_id)
        pushes[:] = [push]
        seen = _look(push)
        if not moments and seen.devices and seen.settled >= MOST * seen.devices:
            moments.append(time.monotonic())
        return seen

    await watching.until_done(look, bar, title="push")
    moments.append(time.monotonic())
    [push] = pushes
    if push["state"] != PushState.DONE:
        message = f"The push is {push['state']}: {push.get('error')}."
        raise CommandError(message, code="push_failed")
    return Sent(push=push, seconds=moments[-1] - begun, seconds_to_most=moments[0] - begun)


def _look(push: Mapping[str, Any]) -> watching.Look:
    settled = push["devices"] - push["counts"]["open"]
    return watching.Look(state=push["state"], devices=push["devices"], settled=settled)


async def seen_by_gateways(session: aiohttp.ClientSession, control_url: str) -> dict[str, Seen]:
    """Return what the simulators saw, by token.

    Raises:
        CommandError: their ledger was too small for it, so there is nothing to compare with.
    """
    found: dict[str, Seen] = {}
    async with session.get(f"{control_url}/stats") as response:
        stats = await response.json()
    for gateway in GATEWAYS:
        following: int | None = 0
        while following is not None:
            query = {"gateway": gateway, "after": str(following), "limit": str(PAGE)}
            async with session.get(f"{control_url}/ledger/tokens", params=query) as response:
                page = await response.json()
            found.update((entry["token"], Seen.of(entry)) for entry in page["entries"])
            following = page["next"]
    if len(found) != sum(one["tokens"] for one in stats["gateways"].values()):
        message = "The simulators' ledger does not hold every token."
        raise CommandError(message, code="ledger_truncated")
    return found


def _refused(url: str, status: int, body: str) -> CommandError:
    return CommandError(f"{url} answered {status}: {body[:300]}", code="api_refused")
