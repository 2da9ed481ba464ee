"""Gateways on the simulators, and messages to send through them."""

import asyncio
import ssl
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any

import aiohttp

from pushsvc.clock import Clock
from pushsvc.delivery import credentials
from pushsvc.delivery.apns.client import ApnsGateway
from pushsvc.delivery.apns.provider_token import Moments, shared_provider_token
from pushsvc.delivery.credentials import ProviderKey, ServiceAccount
from pushsvc.delivery.fcm import access_token as fcm_token
from pushsvc.delivery.fcm.client import FcmGateway
from pushsvc.delivery.gateway import Gateway, Message
from pushsvc.delivery.tokens import SharedToken, TokenStore
from pushsvc.delivery.wire import Limits, Origin, Pool, client_context
from pushsvc.delivery.wns import access_token as wns_token
from pushsvc.delivery.wns.client import WnsGateway
from pushsvc.model import Answer, ApnsHead, ApnsShape, FcmShape, WnsShape
from pushsvc.simulators import Endpoints

#: Longer than any answer takes here; what is never answered is told by a shorter one.
TIMEOUT_SECONDS = 5.0
TOPIC = "com.example.app"
BODY = b'{"aps":{"alert":"Hello"}}'
TOAST = (
    b'<toast><visual><binding template="ToastGeneric"><text>Hi</text></binding></visual></toast>'
)


@dataclass(kw_only=True)
class Clients:
    """Makes gateways that send to the simulators; all of them share one token store."""

    endpoints: Endpoints
    session: aiohttp.ClientSession
    store: TokenStore
    clock: Clock
    moments: Moments
    made: list[Gateway[Any]] = field(default_factory=list)

    @property
    def provider_key(self) -> ProviderKey:
        """The key that the simulated APNs knows."""
        apns = self.endpoints.credentials.apns
        return credentials.parse_apns({"key_id": apns.key_id, "team_id": apns.team_id}, apns.p8)

    @property
    def service_account(self) -> ServiceAccount:
        """The account that the simulated Google knows."""
        return credentials.parse_service_account(self.endpoints.credentials.fcm.file.read_text())

    def provider_token(self, key: ProviderKey | None = None) -> SharedToken:
        """What a process has of the key's token."""
        key = key or self.provider_key
        return shared_provider_token(key, store=self.store, clock=self.clock, moments=self.moments)

    def apns(
        self,
        *,
        key: ProviderKey | None = None,
        url: str | None = None,
        timeout_seconds: float = TIMEOUT_SECONDS,
    ) -> ApnsGateway:
        """A gateway to the simulated APNs."""
        context = client_context(str(self.endpoints.ca_file))
        limits = Limits(max_connections=2, await_settings=True, backoff_first_seconds=0.01)
        origin = Origin.from_url(url or self.endpoints.apns_url)
        gateway = ApnsGateway(
            lambda: Pool(origin, ssl_context=context, limits=limits),
            self.provider_token(key),
            clock=self.clock,
            timeout_seconds=timeout_seconds,
        )
        self.made.append(gateway)
        return gateway

    def fcm(
        self,
        *,
        account: ServiceAccount | None = None,
        timeout_seconds: float = TIMEOUT_SECONDS,
    ) -> FcmGateway:
        """A gateway to the simulated FCM."""
        account = account or self.service_account
        context = client_context(str(self.endpoints.ca_file))
        limits = Limits(ping_after_seconds=None, backoff_first_seconds=0.01)
        gateway = FcmGateway(
            account.project_id,
            Pool(Origin.from_url(self.endpoints.fcm_url), ssl_context=context, limits=limits),
            fcm_token.shared_access_token(
                account, session=self.session, store=self.store, clock=self.clock
            ),
            clock=self.clock,
            timeout_seconds=timeout_seconds,
        )
        self.made.append(gateway)
        return gateway

    def wns(
        self,
        *,
        entra: bool = False,
        secret: str | None = None,
        connect_to: tuple[str, int] | None = None,
        timeout_seconds: float = TIMEOUT_SECONDS,
    ) -> WnsGateway:
        """A gateway to the simulated WNS."""
        wns = self.endpoints.credentials.wns
        app = {"tenant": wns.tenant_id, "client_id": wns.client_id}
        public = app if entra else {"package_sid": wns.package_sid}
        host, _, port = self.endpoints.wns_address.rpartition(":")
        gateway = WnsGateway(
            wns_token.shared_access_token(
                credentials.parse_wns(public, secret or wns.client_secret),
                session=self.session,
                store=self.store,
                clock=self.clock,
                live_url=self.endpoints.wns_token_url,
                entra_url=self.endpoints.wns_entra_url,
            ),
            clock=self.clock,
            timeout_seconds=timeout_seconds,
            ssl_context=ssl.create_default_context(cafile=self.endpoints.ca_file),
            connect_to=connect_to or (host, int(port)),
        )
        self.made.append(gateway)
        return gateway

    async def close(self) -> None:
        """Close what was made."""
        for gateway in self.made:
            await gateway.close()


def apns_shape(*more: tuple[bytes, bytes], push_id: int = 77, body: bytes = BODY) -> ApnsShape:
    """An alert, with more header fields."""
    headers = (
        (b"apns-push-type", b"alert"),
        (b"apns-priority", b"10"),
        (b"apns-topic", TOPIC.encode()),
    )
    head = ApnsHead(push_id=push_id, topic=TOPIC, headers=(*headers, *more))
    return ApnsShape(head, body)


def with_topic(shape: ApnsShape, topic: str) -> ApnsShape:
    """The same for another app."""
    headers = tuple(pair for pair in shape.head.headers if pair[0] != b"apns-topic")
    headers = (*headers, (b"apns-topic", topic.encode()))
    return ApnsShape(replace(shape.head, topic=topic, headers=headers), shape.body)


FCM_SHAPE = FcmShape(
    head=b'{"message":{"token":', tail=b',"data":{"a":"b"},"android":{"priority":"HIGH"}}}'
)
WNS_SHAPE = WnsShape(
    headers=(("Content-Type", "text/xml"), ("X-WNS-Type", "wns/toast")), body=TOAST
)


def apns_token(number: int, marker: str = "") -> str:
    """A device token of 32 bytes, that asks the simulator for a fault with its last digits."""
    return f"{number:064x}"[len(marker) :] + marker


def channel(number: int, marker: str = "") -> str:
    """A channel URI, that asks the simulator for a fault."""
    return f"https://db3.notify.windows.com/?token=AwYAAAB%2bzJ{number}{marker}"


async def until(fact: Callable[[], bool]) -> None:
    """Wait until something is so."""
    async with asyncio.timeout(TIMEOUT_SECONDS):
        while not fact():  # noqa: ASYNC110 - nothing signals what another server has heard
            await asyncio.sleep(0.005)


async def send(gateway: Gateway[Any], tokens: Iterable[str], shape: Any) -> dict[str, Answer]:
    """Send the shape to every token; what came of each, settled exactly once."""
    numbered = list(enumerate(tokens))
    messages = [(i, 1000 + i, token, shape) for i, token in numbered]
    settled = await send_messages(gateway, messages)
    return {token: settled[i] for i, token in numbered}


async def send_messages(gateway: Gateway[Any], messages: list[Message[Any]]) -> dict[int, Answer]:
    """Send; what came of each index, settled exactly once."""
    settled: dict[int, Answer] = {}

    def settle(index: int, answer: Answer) -> None:
        assert index not in settled, "settled twice"
        settled[index] = answer

    await gateway.send(iter(messages), settle)
    assert {message[0] for message in messages} == settled.keys()
    return settled
