"""aioapns as it comes, told only where the server is."""

import asyncio
import json
import logging
from pathlib import Path

import uvloop
from aioapns import APNs, NotificationRequest, PushType
from aioapns.connection import APNsProductionClientProtocol

from bench.peers.task import Clock, Task
from pushsvc.delivery.wire import client_context

CONCURRENT = 100


class Sender:
    """As many notifications at once as there are workers."""

    def __init__(self, client: APNs, task: Task) -> None:
        self._client = client
        self._tokens = [path.removeprefix("/3/device/") for path in task.paths()]
        self._ids = task.ids()
        self._message = json.loads(task.body)
        self._next = iter(range(task.requests))
        self.good = 0

    async def work(self) -> None:
        """Send one after the other until none is left."""
        for key in self._next:
            result = await self._client.send_notification(
                NotificationRequest(
                    device_token=self._tokens[key % len(self._tokens)],
                    message=self._message,
                    notification_id=self._ids[key],
                    priority=10,
                    push_type=PushType.ALERT,
                )
            )
            self.good += result.is_successful


async def main(task: Task) -> None:
    """Send them all."""
    logging.disable()
    client = APNs(
        key=Path(task.key_file).read_text(),  # noqa: ASYNC240 - before the clock starts
        key_id="BENCHKEY01",
        team_id="BENCHTEAM1",
        topic=task.headers["apns-topic"],
        max_connections=1,
        ssl_context=client_context(task.ca_file),
    )
    server = {"APNS_SERVER": "localhost", "APNS_PORT": task.port}
    client.pool.protocol_class = type("Server", (APNsProductionClientProtocol,), server)
    await client.pool.acquire()
    sender, clock = Sender(client, task), Clock()
    with clock.running():
        await asyncio.gather(*(sender.work() for _ in range(CONCURRENT)))
    client.pool.close()
    clock.tell(sender.good)


if __name__ == "__main__":
    uvloop.run(main(Task.read()))
