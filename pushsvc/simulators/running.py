"""Runs the three gateways and their control endpoint, in this process."""

import asyncio
import socket
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from aiohttp import web

from pushsvc.simulators.apns.gateway import Apns
from pushsvc.simulators.authority import Authority, open_authority
from pushsvc.simulators.control import Control
from pushsvc.simulators.credentials import open_credentials, read_senders
from pushsvc.simulators.endpoints import Endpoints
from pushsvc.simulators.fcm.gateway import Fcm
from pushsvc.simulators.gateway import Gateway
from pushsvc.simulators.knobs import Knobs
from pushsvc.simulators.ledger import Ledger
from pushsvc.simulators.ledger_file import LedgerFile, identity_of, read_deliveries
from pushsvc.simulators.listener import BACKLOG, H1, H2, Listener
from pushsvc.simulators.registry import Registry
from pushsvc.simulators.script import Script
from pushsvc.simulators.storms import Storms
from pushsvc.simulators.wns.gateway import Wns

HOST = "127.0.0.1"
#: ALPN by gateway. Google speaks both; Microsoft documents HTTP/1.1 only.
PROTOCOLS = {"apns": (H2,), "fcm": (H2, H1), "wns": (H1,)}
#: How long a control request may go on when everything closes.
CONTROL_SHUTDOWN_SECONDS = 1.0


class Simulators:
    """Strict APNs, FCM and WNS on loopback; an asynchronous context.

    `directory` holds the certificates and the credentials and is made when missing; what it holds
    is used again, so senders set up once go on working after a restart on the same ports.
    Port 0: any free one. `seed` makes random faults and latencies repeatable. `ledger_file` is
    appended to and survives a kill; duplicates of what it has from earlier runs are counted.
    """

    def __init__(
        self,
        directory: Path,
        *,
        apns_port: int = 0,
        fcm_port: int = 0,
        wns_port: int = 0,
        control_port: int = 0,
        seed: int = 0,
        knobs: Knobs | None = None,
        ledger_file: Path | None = None,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._directory = directory
        self._ports = (apns_port, fcm_port, wns_port, control_port)
        self._seed = seed
        self._knobs = knobs or Knobs()
        self._ledger_file = ledger_file
        self._now = now
        self._closing = AsyncExitStack()
        self.ledger = Ledger(entries=self._knobs.ledger_entries, tokens=self._knobs.ledger_tokens)
        self.script = Script(seed=seed)
        self.endpoints: Endpoints
        self.registry: Registry
        self.control: Control
        self.storms: Storms
        self._apns: Apns
        self._gateways: tuple[Gateway, ...]

    async def __aenter__(self) -> Self:
        """Open everything.

        Raises:
            OSError: when a port is taken or the directory cannot be written.
            BrokenCredentialError: when a credential file is damaged.
            RegistrationError: when a sender of `senders.json` cannot be one.
        """
        async with AsyncExitStack() as opened:
            held = [opened.enter_context(_held(port)) for port in self._ports]
            ports = [_port(socket) for socket in held]
            self._directory.mkdir(parents=True, exist_ok=True)
            authority = open_authority(self._directory)
            self.endpoints = self._describe(authority, ports)
            self._make_gateways()
            self._open_ledger_file(opened)
            listeners: dict[str, Listener] = {}
            for gateway, port in zip(self._gateways, ports, strict=False):
                listener = Listener(gateway, protocols=PROTOCOLS[gateway.name])
                await listener.open((HOST, port), authority)
                opened.push_async_callback(listener.close)
                listeners[gateway.name] = listener
            self.storms = Storms(listeners, self.script)
            opened.push_async_callback(self.storms.close)
            await self._open_control(opened, ports[-1])
            self._closing = opened.pop_all()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Cut all connections and close."""
        await self._closing.aclose()

    def reset(self) -> None:
        """Forget what was sent and scripted, end storms; credentials and issued tokens stay."""
        self.storms.end()
        self.ledger.clear()
        self.script.clear()
        self._apns.tokens.forget()
        self.registry.fcm_tokens.fetches = self.registry.wns_tokens.fetches = 0
        for gateway in self._gateways:
            gateway.wire = gateway.wire.anew()
            gateway.turning_away = 0

    def _describe(self, authority: Authority, ports: list[int]) -> Endpoints:
        apns, fcm, wns, control = (f"{HOST}:{port}" for port in ports)
        token_url = f"https://{fcm}/token"
        return Endpoints(
            ca_file=authority.ca_file,
            apns_url=f"https://{apns}",
            fcm_url=f"https://{fcm}",
            fcm_token_url=token_url,
            wns_address=wns,
            wns_token_url=f"https://{wns}/accesstoken.srf",
            wns_entra_url=f"https://{wns}/{{tenant}}/oauth2/v2.0/token",
            control_url=f"http://{control}",
            credentials=open_credentials(self._directory, token_uri=token_url),
        )

    def _make_gateways(self) -> None:
        self.registry = Registry(self.endpoints.credentials)
        self.registry.register(read_senders(self._directory))
        parts: dict[str, Any] = {
            "knobs": self._knobs,
            "ledger": self.ledger,
            "registry": self.registry,
            "script": self.script,
            "seed": self._seed,
            "now": self._now,
        }
        self._apns = Apns(**parts)
        self._gateways = (self._apns, Fcm(**parts), Wns(**parts))

    def _open_ledger_file(self, opened: AsyncExitStack) -> None:
        if self._ledger_file is None:
            return
        before = read_deliveries(self._ledger_file).by_message
        file = LedgerFile(self._ledger_file, now=self._now)
        opened.callback(file.close)
        self.ledger.keep(
            file,
            {
                (gateway, token, identity_of(identity)): number
                for (gateway, token, identity), number in before.items()
            },
        )

    async def _open_control(self, opened: AsyncExitStack, port: int) -> None:
        self.control = Control(
            gateways={gateway.name: gateway for gateway in self._gateways},
            ledger=self.ledger,
            script=self.script,
            storms=self.storms,
            registry=self.registry,
            provider_tokens=lambda: self._apns.tokens.distinct,
            endpoints=self.endpoints.as_json,
            forget=self.reset,
        )
        runner = web.AppRunner(
            self.control.application(), access_log=None, shutdown_timeout=CONTROL_SHUTDOWN_SECONDS
        )
        await runner.setup()
        opened.push_async_callback(runner.cleanup)
        await web.SockSite(runner, socket.create_server((HOST, port), backlog=BACKLOG)).start()


async def serve(
    directory: Path,
    *,
    stop: asyncio.Event,
    on_ready: Callable[[Endpoints], None],
    **options: Any,
) -> None:
    """Run until `stop` is set; `on_ready` is called once everything listens.

    Args:
        directory: see `Simulators`, as for the other options.
        stop: set it to end.
        on_ready: told where everything is.
        options: `apns_port`, `fcm_port`, `wns_port`, `control_port`, `seed`, `knobs`,
            `ledger_file`.

    Raises:
        OSError: when a port is taken or the directory cannot be written.
        BrokenCredentialError: when a credential file is damaged.
    """
    async with Simulators(directory, **options) as simulators:
        on_ready(simulators.endpoints)
        await stop.wait()


def _held(port: int) -> socket.socket:
    """A port that is ours, listening or not: nobody else gets it while a gateway is away."""
    held = socket.socket()
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        held.bind((HOST, port))
    except OSError:
        held.close()
        raise
    return held


def _port(bound: socket.socket) -> int:
    return int(bound.getsockname()[1])
