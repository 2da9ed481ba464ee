"""The devices of the storm: three apps of different size, always the same ones for a seed. Pure."""

import random
import re
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

#: Shares of all installations: one app that can have the largest push, and two small ones.
APP_SHARES: Final = (5 / 6, 2 / 15, 1 / 30)
#: Ranks of one block; a device subscribes to the channel of its block, and to `all`.
BLOCK: Final = 1_000
EVERYONE: Final = "all"
#: Of a thousand devices, how many are of each type.
TYPES: Final = {"ios": 600, "android": 350, "winrt": 50}
DEAD_SHARE: Final = 0.05
#: Answered by an error the first time only; and by an answer that takes its time.
ONCE_SHARE: Final = 0.01
SLOW_SHARE: Final = 0.002
#: Where devices are. A wall time that Baker Island's clock shows is past in all of them.
ZONES: Final = (
    *("Pacific/Kiritimati", "Asia/Tokyo", "Asia/Kolkata", "Europe/Berlin"),
    *("UTC", "America/New_York", "America/Los_Angeles", "Pacific/Honolulu"),
)
#: An APNs token asks for a fault in its last eight digits; by chance it must not.
NO_FAULT: Final = "00000000"
#: type -> what the simulators read in the token. Of a dead token they know for sure.
DEAD: Final = {"ios": "fa170100", "android": "~unregistered", "winrt": "~gone"}
ONCE: Final = {"ios": "fa170e01", "android": "~unavailable_first-01", "winrt": "~internal-01"}
SLOW: Final = {"ios": "fa171202", "android": "~slow-02", "winrt": "~slow-02"}
#: Gone says the gateway, but of a time before the registration: the token is alive.
STALE: Final = "fa170301"
STALE_SHARE: Final = 0.002

_FAULT: Final = re.compile(r"fa17....$|~[a-z_]+(-..)?$")


@dataclass(frozen=True, slots=True)
class Device:
    """One device of an app; its rank counts from 0 and is a custom field of its installation."""

    app: int
    rank: int
    device_type: str
    token: str

    @property
    def fault(self) -> str:
        """Return what its token asks the simulator for; empty for a device without a fault."""
        found = _FAULT.search(self.token)
        return found[0] if found else ""

    @property
    def dead(self) -> bool:
        """Tell whether its token is one that the gateway calls dead."""
        return self.fault == DEAD[self.device_type]

    @property
    def installation_id(self) -> str:
        """Return the id that the device gave itself."""
        return str(uuid.UUID(int=(self.app << 64) + self.rank))

    def body(self, topic: str) -> dict[str, Any]:
        """Return the installation as a Parse client would save it."""
        return {
            "installationId": self.installation_id,
            "deviceType": self.device_type,
            **address(self.device_type, self.token),
            "channels": [EVERYONE, block_channel(self.rank)],
            "appIdentifier": topic,
            "timeZone": ZONES[self.rank % len(ZONES)],
            "rank": self.rank,
        }


def address(device_type: str, token: str) -> dict[str, Any]:
    """Return the field that says where the device is reached."""
    if device_type == "winrt":
        return {"channelUris": {"_Default": token}}
    return {"deviceToken": token}


def block_channel(rank: int) -> str:
    """Return the channel that a thousand neighbours share."""
    return f"block-{rank // BLOCK}"


@dataclass(frozen=True, slots=True)
class Fleet:
    """All installations: app -> its devices by rank."""

    apps: tuple[tuple[Device, ...], ...]

    @classmethod
    def of(cls, seed: int, installations: int) -> "Fleet":
        """Return the fleet of a seed."""
        chance = random.Random(f"fleet {seed}")
        sizes = [max(1, round(share * installations)) for share in APP_SHARES]
        return cls(tuple(tuple(_devices(chance, app, size)) for app, size in enumerate(sizes)))

    def size(self, app: int) -> int:
        """Return how many devices the app has."""
        return len(self.apps[app])


def stranger(app: int, number: int) -> Device:
    """Return a device that is no installation: explicit pushes may name it by its token."""
    return Device(app, -1 - number, "ios", f"{0xE << 60 | app << 32 | number:056x}{NO_FAULT}")


def _devices(chance: random.Random, app: int, size: int) -> Iterator[Device]:
    types, weights = tuple(TYPES), tuple(TYPES.values())
    for rank in range(size):
        device_type = chance.choices(types, weights)[0]
        fault = _fault(chance, device_type)
        yield Device(app, rank, device_type, token(chance, device_type, fault))


def _fault(chance: random.Random, device_type: str) -> str:
    drawn = chance.random()
    for share, fault in (
        (DEAD_SHARE, DEAD[device_type]),
        (ONCE_SHARE, ONCE[device_type]),
        (SLOW_SHARE, SLOW[device_type]),
        (STALE_SHARE if device_type == "ios" else 0.0, STALE),
    ):
        if drawn < share:
            return fault
        drawn -= share
    return ""


def token(chance: random.Random, device_type: str, fault: str = "") -> str:
    """Return a token that no other device has, and that asks for this fault."""
    if device_type == "ios":
        return f"{chance.getrandbits(224):056x}{fault or NO_FAULT}"
    if device_type == "android":
        return f"{chance.getrandbits(64):016x}:APA91b{chance.getrandbits(256):064x}{fault}"
    letters = f"{chance.getrandbits(160):040x}"
    return f"https://db5.notify.windows.com/?token=AwYAAAB{letters}{fault}"
