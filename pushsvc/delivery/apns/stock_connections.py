"""aioapns' connections, amended where they would break a promise or leave messages waiting."""

import asyncio
from typing import Any

from aioapns.common import NotificationRequest, NotificationResult
from aioapns.connection import (
    APNsBaseClientProtocol,
    APNsKeyConnectionPool,
    APNsTLSClientProtocol,
    AuthorizationHeaderProvider,
)
from aioapns.exceptions import ConnectionClosed

from pushsvc.delivery.tokens import Token
from pushsvc.delivery.wire import Origin


class TracedRequest(NotificationRequest):
    """A request that knows whether it may have arrived."""

    __slots__ = ("written",)

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.written = False


class StockConnection(APNsTLSClientProtocol):
    """aioapns' connection, amended where it would lose messages or wait for ever."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        #: SETTINGS are in, or the connection is lost.
        self._told = asyncio.Event()
        self.lost: asyncio.Future[None] = self.loop.create_future()

    @property
    def is_busy(self) -> bool:
        """What is written on a connection that closes is silently dropped."""
        closing = self.transport is None or self.transport.is_closing()
        return closing or super().is_busy

    async def send_notification(self, request: NotificationRequest) -> NotificationResult:
        """Send, but not before SETTINGS: APNs begins with one stream and refuses the others."""
        await self._told.wait()
        if self.lost.done():
            raise ConnectionClosed
        try:
            return await super().send_notification(request)
        except BaseException:
            self._give_up(request)
            raise

    def on_remote_settings_changed(self, changed_settings: Any) -> None:
        """SETTINGS are in."""
        super().on_remote_settings_changed(changed_settings)
        self._told.set()

    def on_data_received(self, raw_data: bytes, stream_id: int) -> None:
        """Grant the peer what it has used, or it falls silent after 64 KB of reasons."""
        self.conn.acknowledge_received_data(len(raw_data), stream_id)
        super().on_data_received(raw_data, stream_id)

    def on_stream_ended(self, stream_id: int) -> None:
        """Forget the stream; aioapns remembers every one that was accepted."""
        super().on_stream_ended(stream_id)
        self.request_streams.pop(stream_id, None)

    def connection_lost(self, exc: Exception | None) -> None:
        """Nobody need wait any longer."""
        self.lost.set_result(None)
        self._told.set()
        super().connection_lost(exc)

    def _give_up(self, request: NotificationRequest) -> None:
        """Forget a request; what comes late for it must find neither its future nor its slot."""
        written = self.requests.pop(request.notification_id, None) is not None
        if isinstance(request, TracedRequest):
            request.written = written
        if written:
            self.free_channels.release()


class StockConnections(APNsKeyConnectionPool):
    """aioapns' pool, with one token for all connections, and an end that can be waited for."""

    token: Token

    def __init__(self, **named: Any) -> None:
        super().__init__(**named)
        self._alive: set[StockConnection] = set()

    async def create_connection(self) -> APNsBaseClientProtocol:
        """Open one, that shows the token of the moment."""
        connection = await super().create_connection()
        assert isinstance(connection, StockConnection)
        self._alive.add(connection)
        connection.auth_provider = _Authorization(self)
        return connection

    def discard_connection(self, connection: APNsBaseClientProtocol) -> None:
        """Forget a lost one; it may have been left before."""
        self._alive -= {connection}
        if connection in self.connections:
            super().discard_connection(connection)

    def leave(self) -> None:
        """Use other connections from now on; these end when they have been idle for a while."""
        self.connections.clear()

    async def close_all(self, seconds: float) -> None:
        """Close all, those that were left, too, and wait for their end, so long at most."""
        for connection in list(self._alive):
            connection.close()
        if lost := [connection.lost for connection in self._alive]:
            await asyncio.wait(lost, timeout=seconds)


class _Authorization(AuthorizationHeaderProvider):
    """What stands in `authorization`."""

    def __init__(self, connections: StockConnections) -> None:
        self._connections = connections

    def get_header(self) -> str:
        """Return the header's value at this moment."""
        return f"bearer {self._connections.token.value}"


def connection_to(origin: Origin) -> type[StockConnection]:
    """Return the class of the connections to a server, which is how aioapns knows it."""

    class Connection(StockConnection):
        APNS_SERVER = origin.host
        APNS_PORT = origin.port

    return Connection
