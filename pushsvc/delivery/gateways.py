"""The gateways in use: one for each credential, opened when first sent to, closed when revoked."""

import asyncio
import itertools
import ssl
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final
from weakref import WeakValueDictionary

import aiohttp
import structlog

from pushsvc.clock import Clock
from pushsvc.config import Settings, SettingsError
from pushsvc.delivery import credentials
from pushsvc.delivery.apns import reasons as apns_reasons
from pushsvc.delivery.apns.client import ApnsGateway
from pushsvc.delivery.apns.provider_token import Moments, shared_provider_token
from pushsvc.delivery.credentials import ProviderKey, ServiceAccount
from pushsvc.delivery.dispatch import Route
from pushsvc.delivery.fcm import access_token as fcm_token, reasons as fcm_reasons
from pushsvc.delivery.fcm.client import FcmGateway
from pushsvc.delivery.gateway import Gateway
from pushsvc.delivery.pacing import Pacing, Rate
from pushsvc.delivery.tokens import SharedToken, TokenStore
from pushsvc.delivery.wire import Limits, Origin, Pool, Proxy, client_context
from pushsvc.delivery.wns import access_token as wns_token
from pushsvc.delivery.wns.client import WnsGateway
from pushsvc.model import ApnsShape, Credential, FcmShape, GatewayName, Shape, WnsShape

#: A credential that was added or revoked is seen by the workers within this.
RELOAD_SECONDS: Final = 5.0
#: The gateways of an app that sends nothing are closed after so long; no batch takes as long.
IDLE_SECONDS: Final = 3_600.0
CLOSED_AT_ONCE: Final = 10
#: Refusals that say nothing of the rest of what a credential is used for.
NARROW: Final = apns_reasons.OF_ONE_TOPIC | fcm_reasons.OF_ONE_PLATFORM

log = structlog.get_logger(__name__)

Load = Callable[[int], Awaitable[Sequence[Credential]]]


class AppGateways:
    """One app's credentials and their gateways, as they were a moment ago."""

    def __init__(self, routes: Sequence[tuple[Credential, Route]]) -> None:
        self._credentials = [credential for credential, _ in routes]
        self._route_of = {credential.id: route for credential, route in routes}
        self._chosen: dict[str | type, Route | None] = {}

    def choose(self, shape: Shape) -> Route | None:
        """Return the way of messages of this shape; None where no credential serves it."""
        key = shape.head.topic if isinstance(shape, ApnsShape) else type(shape)
        try:
            return self._chosen[key]
        except KeyError:
            credential = credentials.choose(self._credentials, shape)
            route = self._route_of[credential.id] if credential else None
            self._chosen[key] = route
            return route


class Gateways:
    """All gateways of this process. Owns their connections and the closing of revoked ones."""

    def __init__(
        self,
        settings: Settings,
        *,
        load: Load,
        store: TokenStore,
        pacing: Pacing,
        clock: Clock,
        moments: Moments,
    ) -> None:
        """Open nothing yet.

        Args:
            settings: where the gateways are, and how they are sent to.
            load: returns the credentials in use of an app.
            store: where tokens lie, for all who see it.
            pacing: how fast each credential may be used, and whether at all.
            clock: dates tokens, and paces looking for other credentials.
            moments: of the provider tokens.
        """
        self._load = load
        self._pacing = pacing
        self._rates = rates_of(settings)
        self._clock = clock
        self._builder = Builder(settings, store=store, clock=clock, moments=moments)
        #: the one that sent last is the last
        self._apps: dict[int, tuple[float, AppGateways]] = {}
        self._open: dict[int, dict[int, Route]] = {}
        #: of what somebody loads just now
        self._looking: WeakValueDictionary[int, asyncio.Lock] = WeakValueDictionary()
        self._closing: set[asyncio.Task[None]] = set()

    async def of(self, app_id: int) -> AppGateways:
        """Return the app's gateways, with its credentials as they were at most 5 s ago."""
        known = self._fresh(app_id)
        if known is None:
            # Batches that begin together ask together: one of them looks.
            async with self._looking.setdefault(app_id, asyncio.Lock()):
                known = self._fresh(app_id) or await self._look(app_id)
        return known

    def _fresh(self, app_id: int) -> AppGateways | None:
        loaded = self._apps.get(app_id)
        if loaded is not None and self._clock.monotonic() - loaded[0] < RELOAD_SECONDS:
            return loaded[1]
        return None

    async def _look(self, app_id: int) -> AppGateways:
        now = self._clock.monotonic()
        found = await self._load(app_id)
        known = self._open.setdefault(app_id, {})
        for credential in found:
            if credential.id not in known:
                self._add(credential, known)
        for revoked in known.keys() - {credential.id for credential in found}:
            self._close_later(known.pop(revoked).gateway)
        gateways = AppGateways([(c, known[c.id]) for c in found if c.id in known])
        self._apps.pop(app_id, None)
        self._apps[app_id] = (now, gateways)
        self._close_idle(now)
        return gateways

    def _close_idle(self, now: float) -> None:
        for app_id, (used_at, _) in list(itertools.islice(self._apps.items(), CLOSED_AT_ONCE)):
            if now - used_at < IDLE_SECONDS:
                return
            del self._apps[app_id]
            for route in self._open.pop(app_id, {}).values():
                self._close_later(route.gateway)

    def _add(self, credential: Credential, known: dict[int, Route]) -> None:
        """Open a gateway; a credential that cannot be read is no reason to stop the others."""
        try:
            gateway = self._builder.build(credential)
        except credentials.CredentialError as error:
            message = str(error)
            log.error("credential.unusable", credential=credential.id, error=message)  # noqa: TRY400 - the sentence says it all
            return
        pace = self._pacing.of(credential.id, self._rates[credential.gateway], narrow=NARROW)
        known[credential.id] = Route(gateway, pace)

    def _close_later(self, gateway: Gateway[Shape]) -> None:
        task = asyncio.create_task(gateway.close(), name="close revoked gateway")
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    async def close(self) -> None:
        """Close every gateway, and wait for those that close already."""
        for routes in self._open.values():
            for route in routes.values():
                self._close_later(route.gateway)
        self._open.clear()
        self._apps.clear()
        await asyncio.gather(*self._closing, return_exceptions=True)
        await self._builder.close()


class Builder:
    """Makes a gateway of a credential."""

    def __init__(
        self, settings: Settings, *, store: TokenStore, clock: Clock, moments: Moments
    ) -> None:
        self._settings = settings
        self._moments = moments
        self._clock = clock
        self._store = store
        self._session: aiohttp.ClientSession | None = None
        self._make: dict[GatewayName, Callable[[Credential], Gateway[Any]]] = {
            GatewayName.APNS: self._aioapns if settings.transport == "aioapns" else self._apns,
            GatewayName.FCM: self._pyfcm if settings.transport == "pyfcm" else self._fcm,
            GatewayName.WNS: self._wns,
        }
        self._proxy = proxy_of(settings)
        ca_file = settings.gateway_ca_file
        try:
            self._ssl_context = client_context(str(ca_file) if ca_file else None)
        except OSError as error:  # ssl.SSLError is one
            why = error.strerror or str(error)
            message = f"Setting gateway_ca_file (PUSHSVC_GATEWAY_CA_FILE): {ca_file}: {why}."
            raise SettingsError(message) from error

    def build(self, credential: Credential) -> Gateway[Shape]:
        """Return a gateway, not yet connected.

        Raises:
            CredentialError: the stored credential cannot be read.
        """
        return self._make[credential.gateway](credential)

    async def close(self) -> None:
        """Close the connections to token endpoints."""
        if self._session is not None:
            await self._session.close()

    def _apns(self, credential: Credential) -> Gateway[ApnsShape]:
        key = credentials.parse_apns(credential.public, credential.secret)
        url = self._apns_url(key)
        # APNs starts a connection at one stream, and punishes who opens more.
        limits = Limits(max_connections=self._settings.gateway_connections, await_settings=True)
        return ApnsGateway(
            lambda: self._pool(url, limits),
            self._provider_token(key),
            clock=self._clock,
            timeout_seconds=self._settings.gateway_timeout_seconds,
        )

    def _fcm(self, credential: Credential) -> Gateway[FcmShape]:
        account = credentials.parse_service_account(credential.secret)
        # Google answers pings with GOAWAY too_many_pings.
        limits = Limits(max_connections=self._settings.gateway_connections, ping_after_seconds=None)
        return FcmGateway(
            account.project_id,
            self._pool(self._settings.fcm_url, limits),
            self._google_token(account),
            clock=self._clock,
            timeout_seconds=self._settings.gateway_timeout_seconds,
        )

    def _aioapns(self, credential: Credential) -> Gateway[ApnsShape]:
        from pushsvc.delivery.apns.stock import StockApnsGateway  # noqa: PLC0415 - seldom used

        key = credentials.parse_apns(credential.public, credential.secret)
        return StockApnsGateway(
            key,
            credential.secret,
            self._provider_token(key),
            url=self._apns_url(key),
            ssl_context=self._ssl_context,
            connections=self._settings.gateway_connections,
            clock=self._clock,
            timeout_seconds=self._settings.gateway_timeout_seconds,
        )

    def _pyfcm(self, credential: Credential) -> Gateway[FcmShape]:
        from pushsvc.delivery.fcm.stock import StockFcmGateway  # noqa: PLC0415 - seldom used

        account = credentials.parse_service_account(credential.secret)
        return StockFcmGateway(
            account,
            self._google_token(account),
            url=self._settings.fcm_url,
            ca_file=self._settings.gateway_ca_file,
            proxy=self._proxy,
            connections=self._settings.gateway_connections,
            clock=self._clock,
            timeout_seconds=self._settings.gateway_timeout_seconds,
        )

    def _wns(self, credential: Credential) -> Gateway[WnsShape]:
        identity = credentials.parse_wns(credential.public, credential.secret)
        connect_to = self._settings.wns_connect_to
        host, _, port = (connect_to or "").rpartition(":")
        return WnsGateway(
            wns_token.shared_access_token(
                identity,
                session=self._tokens_session(),
                store=self._store,
                clock=self._clock,
                live_url=self._settings.wns_token_url,
                entra_url=self._settings.wns_entra_url,
                proxy=self._proxy,
            ),
            clock=self._clock,
            timeout_seconds=self._settings.gateway_timeout_seconds,
            ssl_context=_http1(self._settings.gateway_ca_file),
            connect_to=(host, int(port)) if connect_to else None,
            proxy=self._proxy,
        )

    def _pool(self, url: str, limits: Limits) -> Pool:
        return Pool(
            Origin.from_url(url), ssl_context=self._ssl_context, limits=limits, proxy=self._proxy
        )

    def _apns_url(self, key: ProviderKey) -> str:
        sandbox = key.environment == credentials.SANDBOX
        return self._settings.apns_sandbox_url if sandbox else self._settings.apns_url

    def _provider_token(self, key: ProviderKey) -> SharedToken:
        return shared_provider_token(
            key, store=self._store, clock=self._clock, moments=self._moments
        )

    def _google_token(self, account: ServiceAccount) -> SharedToken:
        return fcm_token.shared_access_token(
            account,
            session=self._tokens_session(),
            store=self._store,
            clock=self._clock,
            proxy=self._proxy,
        )

    def _tokens_session(self) -> aiohttp.ClientSession:
        if self._session is None:
            connector = aiohttp.TCPConnector(ssl=_http1(self._settings.gateway_ca_file))
            self._session = aiohttp.ClientSession(connector=connector)
        return self._session


def rates_of(settings: Settings) -> Mapping[GatewayName, Rate]:
    """Return what each credential of a gateway may send."""
    return {
        GatewayName.APNS: Rate(per_minute=settings.apns_rate_per_minute),
        GatewayName.FCM: Rate(
            per_minute=settings.fcm_rate_per_minute, ramp_seconds=settings.fcm_ramp_seconds
        ),
        GatewayName.WNS: Rate(per_minute=settings.wns_rate_per_minute),
    }


def proxy_of(settings: Settings) -> Proxy | None:
    """Return the proxy that everything goes through, if there is one.

    Raises:
        SettingsError: the setting is not the URL of one, which is not shown; or what sends cannot
            use one.
    """
    if settings.gateway_proxy_url is None:
        return None
    if settings.transport == "aioapns":
        # Its own way through one knows no credentials, and waits for ever when refused.
        message = (
            "Setting transport (PUSHSVC_TRANSPORT): aioapns cannot use gateway_proxy_url "
            "(PUSHSVC_GATEWAY_PROXY_URL). Unset one of them."
        )
        raise SettingsError(message)
    try:
        return Proxy.from_url(settings.gateway_proxy_url.get_secret_value())
    except ValueError as error:
        message = (
            f"Setting gateway_proxy_url (PUSHSVC_GATEWAY_PROXY_URL): {error}. Write "
            "http://host:port or http://user:password@host:port, with user and password "
            "percent-encoded."
        )
        raise SettingsError(message) from error


def _http1(ca_file: Path | None) -> ssl.SSLContext:
    """Return a context for endpoints that are spoken to in HTTP/1.1.

    It says so by ALPN: a server may take a client that says nothing for one that speaks HTTP/2.
    """
    context = ssl.create_default_context(cafile=ca_file)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    return context
