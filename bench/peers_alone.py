"""What the sink does for others: node-apn alone, without devices to find, badges or a record."""

import asyncio
from pathlib import Path
from typing import Final

from bench import parse_server, same_requests
from bench.audience import TOPIC, WITH_BADGE, Platform, new_p8
from bench.peers.task import APNS, Task
from bench.place import Place
from bench.wire import run_by

NODE_APN: Final = (
    "node",
    str(Path(__file__).parent / "peers" / "node_apn.mjs"),
    str(parse_server.HOME),
)
BODY: Final = '{"aps":{"alert":"The Giants won against the Mets 2-3.","badge":1}}'


async def per_second(place: Place, devices: int) -> dict[str, int | None]:
    """Return the messages a second of node-apn, and h2load's requests where it is there."""
    key_file = place.directory / "key.p8"
    key_file.write_text(new_p8())
    task = Task(
        case=APNS,
        port=int(place.sink.url.rpartition(":")[2]),
        ca_file=str(place.sink.ca_file),
        requests=devices,
        body=BODY,
        headers={"apns-topic": TOPIC},
        key_file=str(key_file),
    )
    done = await asyncio.to_thread(run_by(*NODE_APN), task, place.directory)
    rate = await same_requests.per_second(place, devices, platform=Platform.IOS, content=WITH_BADGE)
    return {
        "node_apn": round(done["good"] / done["seconds"]),
        "h2load": None if rate is None else round(rate),
    }
