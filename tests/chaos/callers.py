"""Callers: post each push at its time, by either door, and repeat until there is a 2xx."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import aiohttp

from tests.chaos.judge import Accepted
from tests.chaos.pushes import Planned

#: Requests under way at once: while the API is away, callers wait, and others come on time.
AT_ONCE: Final = 500
#: An answer that takes longer is as good as none; the caller asks again, with the same key.
TIMEOUT: Final = aiohttp.ClientTimeout(total=10)
#: Pauses between two tries, and for how long a caller tries.
FIRST_PAUSE, LONGEST_PAUSE, PATIENCE_SECONDS = 0.1, 1.0, 120.0
AGAIN: Final = frozenset({429, 500, 502, 503, 504})


@dataclass(frozen=True, slots=True, kw_only=True)
class Keys:
    """How one app's callers show who they are."""

    application_id: str
    master: str
    api: str


@dataclass(slots=True, kw_only=True)
class Callers:
    """All callers; `accepted` and `refused` grow as answers come."""

    url: str
    keys: Sequence[Keys]
    seed: int
    session: aiohttp.ClientSession
    accepted: dict[int, Accepted] = field(default_factory=dict)
    #: number of the push -> the answer that is no use repeating, or the end of the patience
    refused: dict[int, str] = field(default_factory=dict)
    #: tries that had no 2xx
    repeats: int = 0

    async def post_all(self, plan: Sequence[Planned], begun: float) -> None:
        """Post every push at its time after `begun`, by the loop's clock; return after the last."""
        limit, loop = asyncio.Semaphore(AT_ONCE), asyncio.get_running_loop()
        async with asyncio.TaskGroup() as group:
            for push in plan:
                await asyncio.sleep(begun + push.at - loop.time())
                await limit.acquire()
                task = group.create_task(self.post(push))
                task.add_done_callback(lambda _: limit.release())

    async def look(self, push: Planned) -> dict[str, Any]:
        """Return the push as `GET /v1/pushes/{id}` has it."""
        url = f"{self.url}/v1/pushes/{self.accepted[push.number].object_id}"
        headers = {"Authorization": f"Bearer {self.keys[push.app].api}"}
        async with self.session.get(url, headers=headers, timeout=TIMEOUT) as response:
            found: dict[str, Any] = await response.json()
        return found

    async def post(self, push: Planned) -> None:
        """Post a push until there is an answer that says what came of it."""
        url, headers = self._door(push)
        body = _body(push)
        posted, pause = time.time(), FIRST_PAUSE
        while time.time() < posted + PATIENCE_SECONDS:
            try:
                async with self.session.post(
                    url, json=body, headers=headers, timeout=TIMEOUT
                ) as response:
                    if response.ok:
                        found = _object_id(response.headers)
                        self.accepted[push.number] = Accepted(
                            object_id=found, posted=posted, answered=time.time()
                        )
                        return
                    if response.status not in AGAIN:
                        said = await response.text()
                        self.refused[push.number] = f"{response.status} {said[:200]}"
                        return
            except (aiohttp.ClientError, TimeoutError):
                # No answer is no word about what came of it.
                pass
            self.repeats += 1
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)
        self.refused[push.number] = "never answered"

    def _door(self, push: Planned) -> tuple[str, dict[str, str]]:
        keys, key = self.keys[push.app], f"chaos-{self.seed}-{push.number}"
        if push.door == "v1":
            headers = {"Authorization": f"Bearer {keys.api}", "Idempotency-Key": key}
            return f"{self.url}/v1/pushes", headers
        headers = {
            "X-Parse-Application-Id": keys.application_id,
            "X-Parse-Master-Key": keys.master,
            "X-Parse-Request-Id": key,
        }
        return f"{self.url}/parse/push", headers


def _body(push: Planned) -> dict[str, Any]:
    body: dict[str, Any] = {
        **push.audience,
        "data": {"alert": f"Storm {push.marker}"},
        # Gateways note it, so that a message is known by its push.
        "collapse_id": push.marker,
    }
    if push.expires_in is not None:
        body["expiration_interval"] = push.expires_in
    if push.due_in is not None:
        due = datetime.now(UTC) + timedelta(seconds=push.due_in)
        body["push_time"] = due.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    if push.door == "v1":
        body["on_unknown"] = "drop" if push.drop else "resend"
        if push.urgent:
            body["priority"] = "urgent"
    return body


def _object_id(headers: Mapping[str, str]) -> str:
    location = headers.get("Location")
    return location.rpartition("/")[2] if location else headers["X-Parse-Push-Status-Id"]
