"""What every gateway offers to dispatch: take messages, answer each exactly once."""

from collections.abc import Callable, Iterator
from typing import Final, Protocol, TypeVar

from pushsvc.model import Answer

ShapeT_contra = TypeVar("ShapeT_contra", contravariant=True)

#: One message: the device's place in its batch, its key (64 bits; `apns-id` is made of it and the
#: push), the token or channel URI, and the shape that all devices of its variant share. A tuple,
#: because one is made for every device.
Message = tuple[int, int, str, ShapeT_contra]

Settle = Callable[[int, Answer], None]

#: How long the requests in flight have when the gateway is closed.
DRAIN_SECONDS: Final = 5.0


#: Tells whether nothing more is to be sent, not even what was not processed the first time.
Over = Callable[[], bool]


def never() -> bool:
    """Say that it is not over."""
    return False


class Gateway(Protocol[ShapeT_contra]):
    """A connection pool and a credential; one for each credential in use."""

    async def send(
        self, messages: Iterator[Message[ShapeT_contra]], settle: Settle, over: Over = never
    ) -> None:
        """Send all, pulling messages only as fast as the gateway takes them.

        Once it is `over`, no message goes to the gateway that was there before.

        `settle(index, answer)` is called exactly once for each message pulled, also when the
        gateway cannot be reached. Returns when all are settled; never raises for the network.
        """

    async def close(self) -> None:
        """Let what is in flight finish, within a bound, then close the connections."""
