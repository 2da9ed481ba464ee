"""Our own wire, one connection."""

from collections.abc import Iterator

import uvloop

from bench.peers.task import APNS, Clock, Task
from pushsvc.delivery.wire import (
    Answered,
    Call,
    Limits,
    Origin,
    Pool,
    Template,
    Verdict,
    client_context,
)

TIMEOUT_SECONDS = 30.0


def calls(task: Task, paths: list[bytes], ids: list[bytes]) -> Iterator[Call]:
    """Yield the requests."""
    constant = {k.encode(): v.encode() for k, v in task.headers.items()}
    secret = [(b"authorization", constant.pop(b"authorization"))]
    is_apns = task.case == APNS
    template = Template(
        list(constant.items()), varying=[b"apns-id"] if is_apns else [], literal=secret
    )
    body, many = task.body.encode(), len(paths)
    for key in range(task.requests):
        yield key, template, paths[key % many], (ids[key],) if is_apns else (), body


async def main(task: Task) -> None:
    """Send them all with one `send_many`."""
    paths, ids = [p.encode() for p in task.paths()], [i.encode() for i in task.ids()]
    good = 0

    def on_apns(key: int, verdict: Verdict) -> None:
        nonlocal good
        if isinstance(verdict, Answered) and verdict.status == 200:  # noqa: PLR2004 - HTTP
            good += verdict.header(b"apns-id") == ids[key]

    def on_fcm(_key: int, verdict: Verdict) -> None:
        nonlocal good
        if isinstance(verdict, Answered) and verdict.status == 200:  # noqa: PLR2004 - HTTP
            good += verdict.body != b""

    pool = Pool(
        Origin("localhost", task.port),
        ssl_context=client_context(task.ca_file),
        limits=Limits(max_connections=1, await_settings=True),
    )
    await pool.request(b"GET", b"/", [], b"", timeout_seconds=TIMEOUT_SECONDS)
    clock = Clock()
    with clock.running():
        await pool.send_many(
            calls(task, paths, ids),
            on_apns if task.case == APNS else on_fcm,
            timeout_seconds=TIMEOUT_SECONDS,
        )
    await pool.close()
    clock.tell(good)


if __name__ == "__main__":
    uvloop.run(main(Task.read()))
