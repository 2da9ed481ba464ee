"""pyreqwest: Rust's reqwest, asked from asyncio."""

import asyncio
from pathlib import Path

import uvloop
from pyreqwest.client import Client, ClientBuilder

from bench.peers.task import APNS, Clock, Task

CONCURRENT = 100


class Sender:
    """As many requests at once as there are workers."""

    def __init__(self, client: Client, task: Task) -> None:
        self._client = client
        self._task = task
        self._paths = task.paths()
        self._ids = task.ids()
        self._body = task.body.encode()
        self._next = iter(range(task.requests))
        self.good = 0

    async def work(self) -> None:
        """Send one after the other until none is left."""
        is_apns = self._task.case == APNS
        for key in self._next:
            request = self._client.post(self._paths[key % len(self._paths)])
            request = request.body_bytes(self._body)
            if is_apns:
                request = request.header("apns-id", self._ids[key])
            response = await request.build().send()
            if response.status != 200:  # noqa: PLR2004 - HTTP
                continue
            if is_apns:
                self.good += response.get_header("apns-id") == self._ids[key]
            else:
                self.good += len(await response.bytes()) > 0


async def main(task: Task) -> None:
    """Send them all."""
    builder = ClientBuilder().base_url(f"https://localhost:{task.port}").http2_prior_knowledge()
    builder = builder.add_root_certificate_pem(Path(task.ca_file).read_bytes())  # noqa: ASYNC240 - before the clock starts
    async with builder.default_headers(task.headers).build() as client:
        await client.get("/").build().send()
        sender, clock = Sender(client, task), Clock()
        with clock.running():
            await asyncio.gather(*(sender.work() for _ in range(CONCURRENT)))
    clock.tell(sender.good)


if __name__ == "__main__":
    uvloop.run(main(Task.read()))
