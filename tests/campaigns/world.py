"""The devices of a proof: in forty zones, on three platforms, some with faulty tokens. Pure."""

import random
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from pushsvc.model import OutcomeClass
from tests.chaos import fleet

#: Forty zones on all sides of the world, with quarters and halves of hours among them.
ZONES: Final = (
    *("Pacific/Pago_Pago", "Pacific/Honolulu", "Pacific/Marquesas", "America/Anchorage"),
    *("America/Los_Angeles", "America/Phoenix", "America/Denver", "America/Mexico_City"),
    *("America/Chicago", "America/Bogota", "America/New_York", "America/Caracas"),
    *("America/Halifax", "America/St_Johns", "America/Sao_Paulo", "America/Noronha"),
    *("Atlantic/Azores", "Atlantic/Reykjavik", "Europe/London", "Africa/Lagos"),
    *("Europe/Berlin", "Africa/Cairo", "Europe/Helsinki", "Africa/Nairobi"),
    *("Europe/Istanbul", "Asia/Tehran", "Asia/Dubai", "Asia/Kabul"),
    *("Asia/Karachi", "Asia/Kolkata", "Asia/Kathmandu", "Asia/Dhaka"),
    *("Asia/Yangon", "Asia/Bangkok", "Asia/Shanghai", "Australia/Eucla"),
    *("Asia/Tokyo", "Australia/Adelaide", "Australia/Sydney", "Pacific/Chatham"),
)
#: Of a thousand devices, how many are of each type.
TYPES: Final = {"ios": 600, "android": 350, "winrt": 50}
FAULTY_SHARE: Final = 0.05
ZONELESS_SHARE: Final = 0.01
#: Those whom the first campaign is for.
EARLY_SHARE: Final = 0.2
EARLY: Final = "early"
#: type -> what a faulty token asks its simulator for, and what the answer means
FAULTS: Final = {
    "ios": {"fa170100": OutcomeClass.TOKEN_DEAD, "fa170400": OutcomeClass.TOKEN_SUSPECT},
    "android": {
        "~unregistered": OutcomeClass.TOKEN_DEAD,
        "~sender_mismatch": OutcomeClass.TOKEN_SUSPECT,
    },
    "winrt": {"~gone": OutcomeClass.TOKEN_DEAD, "~dropped": OutcomeClass.REQUEST_BAD},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """One device; its rank counts from 0."""

    rank: int
    device_type: str
    token: str
    #: None for one that never told
    zone: str | None
    #: what its gateway answers, as the ledger has it
    answer: OutcomeClass
    early: bool

    def body(self, topic: str) -> dict[str, Any]:
        """Return the installation as a Parse client would save it."""
        channels = [fleet.EVERYONE, EARLY] if self.early else [fleet.EVERYONE]
        return {
            "installationId": str(uuid.UUID(int=self.rank)),
            "deviceType": self.device_type,
            **fleet.address(self.device_type, self.token),
            **({} if self.zone is None else {"timeZone": self.zone}),
            "channels": channels,
            "appIdentifier": topic,
        }


def devices(count: int, *, seed: int) -> Sequence[Device]:
    """Return the devices of a seed."""
    return tuple(_devices(random.Random(f"campaigns {seed}"), count))


def _devices(chance: random.Random, count: int) -> Iterator[Device]:
    types, weights = tuple(TYPES), tuple(TYPES.values())
    for rank in range(count):
        device_type = chance.choices(types, weights)[0]
        faulty = chance.random() < FAULTY_SHARE
        fault = chance.choice(tuple(FAULTS[device_type])) if faulty else ""
        yield Device(
            rank=rank,
            device_type=device_type,
            token=fleet.token(chance, device_type, fault),
            zone=None if chance.random() < ZONELESS_SHARE else chance.choice(ZONES),
            answer=FAULTS[device_type].get(fault, OutcomeClass.OK),
            early=chance.random() < EARLY_SHARE,
        )
