"""The strict simulators of the three gateways, each a process of its own, as the real ones are."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import aiohttp

from pushsvc.cli.simulate import gateway_settings
from tests.chaos.supervised import Supervised

NAMES: Final = ("apns", "fcm", "wns")
#: Pause before simulators that are being restarted are addressed again.
HEAR_SECONDS: Final = 0.5
#: What of the endpoints that the three tell belongs to whom; a CA is common to all.
TOLD: Final = {
    "apns": ("ca_file", "apns_url"),
    "fcm": ("fcm_url",),
    "wns": ("wns_address", "wns_token_url", "wns_entra_url"),
}

#: Makes a process from its name and the arguments of its command line.
Making = Callable[..., Supervised]


@dataclass(frozen=True, kw_only=True)
class Gateways:
    """The simulators, by gateway. One that ends is started again on the same ports."""

    directory: Path
    processes: Mapping[str, Supervised]
    #: where each takes orders
    control_ports: Mapping[str, int]
    #: where FCM's service accounts sign in
    token_uri: str
    session: aiohttp.ClientSession
    tell: Callable[[str], None]

    @classmethod
    def of(
        cls,
        directory: Path,
        *,
        making: Making,
        ports: Sequence[int],
        knobs: Sequence[str],
        session: aiohttp.ClientSession,
        tell: Callable[[str], None],
    ) -> "Gateways":
        """Prepare the simulators; they are started by `start`.

        Args:
            directory: keys, certificates and ledger files are in it.
            making: makes a process.
            ports: two for each gateway.
            knobs: of the simulators, `NAME=VALUE`.
            session: for orders.
            tell: told what the simulators refuse.
        """
        listens = dict(zip(NAMES, ports[: len(NAMES)], strict=True))
        control_ports = dict(zip(NAMES, ports[len(NAMES) :], strict=True))
        processes = {}
        for name in NAMES:
            own = {f"{other}-port": "0" for other in NAMES} | {
                f"{name}-port": f"{listens[name]}",
                "control-port": f"{control_ports[name]}",
                "directory": f"{directory}",
                "ledger-file": f"{directory / name}.ledger",
            }
            options = [f"--{option}={value}" for option, value in own.items()]
            processes[name] = making(name, "simulate", *options, *(f"--knob={k}" for k in knobs))
        return cls(
            directory=directory,
            processes=processes,
            control_ports=control_ports,
            token_uri=f"https://127.0.0.1:{listens['fcm']}/token",
            session=session,
            tell=tell,
        )

    @property
    def ledger_files(self) -> list[Path]:
        """Where each keeps what was delivered."""
        return [self.directory / f"{name}.ledger" for name in NAMES]

    async def start(self, environment: Mapping[str, str]) -> dict[str, str]:
        """Start all; return the settings that have the service send to them."""
        ends: dict[str, Any] = {}
        # One after another: the first makes the certificates of all.
        for name in NAMES:
            told = await self.processes[name].start(environment)
            ends |= {part: told[part] for part in TOLD[name]}
        return gateway_settings(ends)

    async def command(
        self, gateway: str, path: str, document: Any, *, method: str = "POST"
    ) -> None:
        """Give a gateway an order, as soon as it hears."""
        while True:
            with suppress(aiohttp.ClientError):
                async with self.session.request(
                    method, self._url(gateway, path), json=document
                ) as response:
                    if not response.ok:
                        # Of two outages of one gateway the second is a part of the first.
                        self.tell(f"{gateway} {path}: {await response.text()}")
                    return
            await asyncio.sleep(HEAR_SECONDS)

    async def reset(self) -> None:
        """Have all forget what was sent and asked of them; their ledger files stay."""
        for name in NAMES:
            await self.command(name, "/reset", {})

    async def stats(self, gateway: str) -> dict[str, Any]:
        """Return the sums of a gateway, with what its process has beside them."""
        async with self.session.get(self._url(gateway, "/stats")) as response:
            found: dict[str, Any] = await response.json()
        sums: dict[str, Any] = found.pop("gateways")[gateway]
        return found | sums

    async def page(self, gateway: str, *, after: int, limit: int) -> dict[str, Any]:
        """Return requests that a gateway has had, from the one behind `after` on."""
        query = {"after": str(after), "limit": str(limit)}
        async with self.session.get(self._url(gateway, "/ledger"), params=query) as response:
            found: dict[str, Any] = await response.json()
        return found

    def _url(self, gateway: str, path: str) -> str:
        return f"http://127.0.0.1:{self.control_ports[gateway]}{path}"
