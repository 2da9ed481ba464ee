"""The same requests as a push makes, by h2load (C): what this machine and its sink can do."""

import asyncio
import shutil
from datetime import UTC, datetime
from typing import Final

from bench.audience import TOPIC, Content, Platform
from bench.peers import h2load
from bench.peers.task import APNS, FCM, Task
from bench.place import Place
from bench.sink import ACCESS_TOKEN, FCM_PATHS
from pushsvc.model import ApnsShape, Device, FcmShape
from pushsvc.shaping.body import Envelope, Shaper

#: Fewer are over before they have a rate; of more the rate is the same.
LEAST, MOST = 100_000, 300_000
#: As long as a real provider token, and of the same letters.
PROVIDER_TOKEN: Final = (
    "eyJhbGciOiJFUzI1NiIsImtpZCI6IkJFTkNIS0VZMDEifQ." + "eyJpc3MiOiJCRU5DSFRFQU0x" * 6
)
#: As long as theirs, so that nothing but the path is different, and none counts as a message.
_PREFIX: Final = "/3/h2load/"
_FCM_PATH: Final = f"/v1/projects/{'h2load':-<{len(FCM_PATHS.split('/')[3])}}/messages:send"
_NOW: Final = datetime(2026, 11, 26, tzinfo=UTC)
_CASES: Final = {
    Platform.IOS: [(APNS, 1.0)],
    Platform.ANDROID: [(FCM, 1.0)],
    Platform.MIXED: [(APNS, 0.5), (FCM, 0.5)],
}


async def per_second(
    place: Place, devices: int, *, platform: Platform, content: Content
) -> float | None:
    """Return h2load's good answers a second on one connection; None where the system has none."""
    program = shutil.which("h2load")
    if program is None:
        return None
    requests = max(LEAST, min(devices, MOST))
    good, seconds = 0.0, 0.0
    for case, share in _CASES[platform]:
        task = _task(place, case, round(requests * share), content=content)
        done = await asyncio.to_thread(h2load.run, program, task, place.directory)
        good, seconds = good + done["good"], seconds + done["seconds"]
    return round(good / seconds)


def _task(place: Place, case: str, requests: int, *, content: Content) -> Task:
    body, headers = _shaped(case, content)
    return Task(
        case=case,
        port=int(place.sink.url.rpartition(":")[2]),
        ca_file=str(place.sink.ca_file),
        requests=requests,
        body=body,
        headers=headers,
        key_file="",
        prefix=_PREFIX,
        fcm_path=_FCM_PATH,
    )


def _shaped(case: str, content: Content) -> tuple[str, dict[str, str]]:
    """Return the body and the header fields that a device of this push would get."""
    envelope = Envelope(
        push_id=1, push_object_id="aBcDeFgHiJ", created_at=_NOW, expires_at=None, now=_NOW
    )
    ios = case == APNS
    device = Device(
        0,
        "ios" if ios else "android",
        f"{0:064x}" if ios else f"{0:022x}:APA91b{0:0128x}",
        TOPIC,
        "en-US",
        1 if content.badge else None,
        fields={"firstName": "Ann 500", "team": "Giants"},
    )
    shape = Shaper({"data": content.body()}, envelope).shape(device)
    if isinstance(shape, ApnsShape):
        fields = {name.decode(): value.decode() for name, value in shape.head.headers}
        return shape.body.decode(), fields | {"authorization": f"bearer {PROVIDER_TOKEN}"}
    assert isinstance(shape, FcmShape)
    fields = {"content-type": "application/json", "authorization": f"Bearer {ACCESS_TOKEN}"}
    return f'{shape.head.decode()}"{device.token}"{shape.tail.decode()}', fields
