"""aioapns' connections, amended where they would break a promise or leave messages waiting."""

import asyncio
from math import ceil
from typing import Any

from aioapns.common import NotificationRequest, NotificationResult
from aioapns.connection import (
    APNsBaseClientProtocol,
    APNsKeyConnectionPool,
    APNsTLSClientProtocol,
    AuthorizationHeaderProvider,
)
from aioapns.exceptions import ConnectionClosed
from h2.exceptions import ProtocolError

from pushsvc.delivery.tokens import Token
from pushsvc.delivery.wire import Origin


class TracedRequest(NotificationRequest):
    """A request that knows whether it may have arrived."""

    __slots__ = ("_message", "written")

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.written = False

    @property
    def message(self) -> Any:
        """Read by aioapns once it has a stream; it writes all in the same turn of the loop."""
        self.written = True
        return self._message

    @message.setter
    def message(self, message: Any) -> None:
        self._message = message


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
        except BaseException as error:
            if isinstance(error, ProtocolError) and isinstance(request, TracedRequest):
                # Raised by h2 before the end of the request went out.
                request.written = False
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
        if self.requests.pop(request.notification_id, None) is not None:
            self.free_channels.release()


class StockConnections(APNsKeyConnectionPool):
    """aioapns' pool, with one token for all connections, and an end that can be waited for."""

    def __init__(self, **named: Any) -> None:
        super().__init__(**named)
        self.token: Token | None = None
        self._alive: set[StockConnection] = set()

    def use(self, token: Token) -> None:
        """Show this token from now on, unless it is older than the one that is shown."""
        if self.token is None or token.minted_at >= self.token.minted_at:
            self.token = token

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
        assert self._connections.token is not None
        return f"bearer {self._connections.token.value}"


def connection_to(origin: Origin, *, quiet_seconds: float) -> type[StockConnection]:
    """Return the class of the connections to a server, which is how aioapns knows it.

    They close when nothing was sent for `quiet_seconds`, answers outstanding or not.
    """

    class Connection(StockConnection):
        INACTIVITY_TIME = ceil(quiet_seconds)
        APNS_SERVER = origin.host
        APNS_PORT = origin.port

    return Connection
