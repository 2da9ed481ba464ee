"""Callers: post each push at its time, by either door, and repeat until there is a 2xx.

Some cancel theirs on its way, or pause it for a while.
"""

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Any, Final, NamedTuple

import aiohttp

from tests.chaos.judge import Accepted, Halted
from tests.chaos.pushes import DELIVERY, Planned

#: Requests under way at once: while the API is away, callers wait, and others come on time.
AT_ONCE: Final = 500
#: An answer that takes longer is as good as none; the caller asks again, with the same key.
TIMEOUT: Final = aiohttp.ClientTimeout(total=10)
#: door -> its path
V1: Final[Mapping[str, str]] = {"v1": "pushes", DELIVERY: "deliveries"}
#: Of a delivery whose caller wants to know what came of it.
WAIT_SECONDS: Final = 3
#: Pauses between two tries, and for how long a caller tries.
FIRST_PAUSE, LONGEST_PAUSE, PATIENCE_SECONDS = 0.1, 1.0, 120.0
AGAIN: Final = frozenset({429, 500, 502, 503, 504})
#: What is said of a push whose time was a minute ago: it was asked for so long.
TOO_LATE: Final = "lies in the past"
#: The clock that shows a time last is so far behind UTC.
LAST_ZONE: Final = timedelta(hours=12)


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
    #: number of the push -> when it was paused or cancelled
    halted: dict[int, Halted] = field(default_factory=dict)
    #: tries that had no 2xx
    repeats: int = 0

    async def post_all(self, plan: Sequence[Planned], begun: float) -> None:
        """Post every push at its time after `begun`, by the loop's clock; return after the last."""
        limit, loop = asyncio.Semaphore(AT_ONCE), asyncio.get_running_loop()
        async with asyncio.TaskGroup() as group:
            for push in plan:
                await asyncio.sleep(begun + push.at - loop.time())
                await limit.acquire()
                task = group.create_task(self.see_through(push))
                task.add_done_callback(lambda _: limit.release())

    async def look(self, push: Planned) -> dict[str, Any]:
        """Return the push as `GET /v1/pushes/{id}` has it."""
        url = f"{self.url}/v1/pushes/{self.accepted[push.number].object_id}"
        headers = {"Authorization": f"Bearer {self.keys[push.app].api}"}
        async with self.session.get(url, headers=headers, timeout=TIMEOUT) as response:
            found: dict[str, Any] = await response.json()
        return found

    async def see_through(self, push: Planned) -> None:
        """Post a push, and do to it on its way what its caller wants done."""
        if not await self.post(push):
            return
        if push.cancel_after is not None:
            await asyncio.sleep(push.cancel_after)
            if await self._step(push, "cancel"):
                self.halted[push.number] = Halted(since=time.time())
        elif push.pause_after is not None:
            await asyncio.sleep(push.pause_after)
            await self._pause(push)

    async def post(self, push: Planned) -> bool:
        """Post a push until there is an answer that says what came of it; tell if it was taken."""
        posted = time.time()
        due = None if push.due_in is None else posted + push.due_in
        answer = await self._ask(*self._door(push), _body(push, due))
        if answer is None or answer.status >= HTTPStatus.MULTIPLE_CHOICES:
            self._refuse(push, answer)
            return False
        self.accepted[push.number] = Accepted(
            object_id=_object_id(answer.headers), posted=posted, answered=time.time(), due=due
        )
        return True

    async def resume_all(self, plan: Sequence[Planned]) -> None:
        """Resume once more what was paused: a pause that was not answered may come after all."""
        for push in plan:
            if push.pause_after is not None and push.number in self.accepted:
                await self._step(push, "resume")

    async def _pause(self, push: Planned) -> None:
        if not await self._step(push, "pause"):
            return
        since = time.time()
        await asyncio.sleep(push.pause_for)
        self.halted[push.number] = Halted(since=since, until=time.time())
        await self._step(push, "resume")

    async def _step(self, push: Planned, step: str) -> bool:
        """Cancel, pause or resume a push; return whether it was not over yet."""
        url = f"{self.url}/v1/pushes/{self.accepted[push.number].object_id}:{step}"
        headers = {"Authorization": f"Bearer {self.keys[push.app].api}"}
        answer = await self._ask(url, headers, {} if step == "resume" else None)
        if answer is None or answer.status not in {HTTPStatus.OK, HTTPStatus.CONFLICT}:
            self._refuse(push, answer)
        return answer is not None and answer.status == HTTPStatus.OK

    def _refuse(self, push: Planned, answer: "_Answer | None") -> None:
        if answer is not None and TOO_LATE in answer.text and push.has_time:
            # While the API was away its time has passed; had it been stored, it were repeated.
            return
        said = "never answered" if answer is None else f"{answer.status} {answer.text[:200]}"
        self.refused[push.number] = said

    async def _ask(self, url: str, headers: Mapping[str, str], body: Any) -> "_Answer | None":
        """Ask until there is an answer that says what came of it; None where there never is."""
        end, pause = time.time() + PATIENCE_SECONDS, FIRST_PAUSE
        while time.time() < end:
            try:
                async with self.session.post(
                    url, json=body, headers=headers, timeout=TIMEOUT
                ) as response:
                    if response.status not in AGAIN:
                        text = await response.text()
                        return _Answer(response.status, response.headers, text)
            except (aiohttp.ClientError, TimeoutError):
                # No answer is no word about what came of it.
                pass
            self.repeats += 1
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)
        return None

    def _door(self, push: Planned) -> tuple[str, dict[str, str]]:
        keys, key = self.keys[push.app], f"chaos-{self.seed}-{push.number}"
        if push.door in V1:
            headers = {"Authorization": f"Bearer {keys.api}", "Idempotency-Key": key}
            return f"{self.url}/v1/{V1[push.door]}", headers
        headers = {
            "X-Parse-Application-Id": keys.application_id,
            "X-Parse-Master-Key": keys.master,
            "X-Parse-Request-Id": key,
        }
        return f"{self.url}/parse/push", headers


class _Answer(NamedTuple):
    status: int
    headers: Mapping[str, str]
    text: str


def _body(push: Planned, due: float | None) -> dict[str, Any]:
    # Gateways note the collapse id, so that a message is known by its push.
    content = {"data": {"alert": f"Storm {push.marker}"}, "collapse_id": push.marker}
    body: dict[str, Any] = {**push.audience, **content}
    if push.door == DELIVERY:
        # Every second of them waits for what comes of it, and may do so in vain.
        wait = WAIT_SECONDS if push.number % 2 else 0
        recipients = push.audience["devices"]
        body = {"content": content, "recipients": recipients, "wait_seconds": wait}
    if push.expires_in is not None:
        body["expiration_interval"] = push.expires_in
    if due is not None:
        at = datetime.fromtimestamp(due, UTC)
        body["push_time"] = at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    if push.local:
        at = datetime.now(UTC) - LAST_ZONE
        body["push_time"] = at.replace(tzinfo=None).isoformat(timespec="milliseconds")
    if push.door in V1:
        body["on_unknown"] = "drop" if push.drop else "resend"
        if push.urgent:
            body["priority"] = "urgent"
    return body


def _object_id(headers: Mapping[str, str]) -> str:
    location = headers.get("Location")
    return location.rpartition("/")[2] if location else headers["X-Parse-Push-Status-Id"]
