"""WNS: an access token, a keep-alive HTTP/1.1 pool, and messages posted to channel URIs.

HTTP/1.1 because Microsoft documents nothing else.
https://learn.microsoft.com/windows/apps/develop/notifications/push-notifications/push-request-response-headers
"""

import asyncio
import ssl
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain
from types import SimpleNamespace
from typing import Final

import aiohttp
from yarl import URL

from pushsvc.clock import Clock
from pushsvc.delivery.answers import fields_of
from pushsvc.delivery.gateway import DRAIN_SECONDS, Message, Over, Settle, never
from pushsvc.delivery.rounds import Rules, Run, drive
from pushsvc.delivery.tokens import SharedToken, Token, read_bounded
from pushsvc.delivery.way import failure, through
from pushsvc.delivery.wire import Answered, NotProcessed, Proxy, Unknown, Verdict
from pushsvc.delivery.wns import channel, reasons
from pushsvc.model import Answer, WnsShape

#: Requests at once, and connections to one of Microsoft's hosts. HTTP/1.1 has one request on a
#: connection, so at 50 ms each this is about 1,200 messages a second.
CONCURRENCY: Final = 64
CONNECT_TIMEOUT_SECONDS: Final = 10.0
#: Below what servers commonly allow: a connection that closes while we write is a doubt.
KEEP_ALIVE_SECONDS: Final = 15.0

CLOSED: Final = NotProcessed("the gateway is closed")

WnsMessage = Message[WnsShape]


class WnsGateway:
    """One app at WNS."""

    def __init__(
        self,
        tokens: SharedToken,
        *,
        clock: Clock,
        timeout_seconds: float,
        ssl_context: ssl.SSLContext | None = None,
        connect_to: tuple[str, int] | None = None,
        proxy: Proxy | None = None,
        concurrency: int = CONCURRENCY,
    ) -> None:
        """Make a gateway; to be called where an event loop runs.

        Args:
            tokens: the access token of the app.
            clock: dates what Retry-After says.
            timeout_seconds: how long a request may take.
            ssl_context: whom to trust; the system's authorities where None.
            connect_to: host and port to dial in place of every channel's; names, certificates and
                the host rule stay the channel's.
            proxy: the way to all hosts.
            concurrency: requests at once.
        """
        self._tokens = tokens
        self._clock = clock
        self._timeout = aiohttp.ClientTimeout(
            total=timeout_seconds, sock_connect=CONNECT_TIMEOUT_SECONDS
        )
        self._slots = asyncio.Semaphore(concurrency)
        self._posts: set[asyncio.Task[None]] = set()
        self._closing = False
        self._session = _session(ssl_context, concurrency)
        self._connect_to = connect_to
        self._way = through(proxy)
        self._rules: Rules[WnsShape] = Rules(
            judge=self._judge,
            renewable=reasons.RENEWABLE,
            scope=lambda _answer, _shape: "",
            ok_is_accepted=False,
        )

    async def send(
        self, messages: Iterator[WnsMessage], settle: Settle, over: Over = never
    ) -> None:
        """Send all, pulling messages only as fast as WNS takes them; see Gateway.send."""
        sendable = _with_channel(messages, settle)
        first = next(sendable, None)
        if first is None:
            # Nobody to send to, so not even a token is asked for.
            return
        run = Run(chain((first,), sendable), settle, self._rules, over=over)

        async def send_round(pulled: Iterator[WnsMessage], token: Token) -> bool:
            async with asyncio.TaskGroup() as posts:
                for message in pulled:
                    await self._slots.acquire()
                    post = posts.create_task(self._deliver(run, message, token))
                    self._posts.add(post)
                    post.add_done_callback(self._posted)
            # Not processed means not connected here: nothing to gain by trying again at once.
            return run.wants_token

        await drive(run, send_round, token=self._tokens.current, renew=self._tokens.renew)

    async def close(self) -> None:
        """Let what is in flight finish, within a bound, then close the connections."""
        self._closing = True
        if self._posts:
            await asyncio.wait(self._posts, timeout=DRAIN_SECONDS)
        await self._session.close()

    def _posted(self, post: asyncio.Task[None]) -> None:
        self._posts.discard(post)
        self._slots.release()

    async def _deliver(self, run: Run[WnsShape], message: WnsMessage, token: Token) -> None:
        index, _key, uri, shape = message
        run.on_verdict(index, CLOSED if self._closing else await self._post(uri, shape, token))

    async def _post(self, uri: str, shape: WnsShape, token: Token) -> Verdict:
        trace = _Trace()
        # As it came: a channel URI whose query is encoded anew is another one, a 404.
        channel_url = URL(uri, encoded=True)
        try:
            async with self._session.post(
                self._dialled(channel_url),
                data=shape.body,
                headers=[
                    ("Host", channel_url.host_port_subcomponent or ""),
                    *shape.headers,
                    ("Authorization", f"Bearer {token.value}"),
                ],
                server_hostname=channel_url.raw_host,
                allow_redirects=False,
                timeout=self._timeout,
                trace_request_ctx=trace,
                **self._way,
            ) as response:
                # Nothing in the body counts; it is read so that the connection can be used again.
                with suppress(aiohttp.ClientError, TimeoutError):
                    await read_bounded(response)
                fields = tuple(
                    (name.lower().encode("latin-1"), value.encode("latin-1", "replace"))
                    for name, value in response.headers.items()
                )
                return Answered(response.status, fields, b"")
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            why = failure(error)
            return Unknown(why) if trace.written else NotProcessed(why)

    def _dialled(self, channel_url: URL) -> URL:
        if self._connect_to is None:
            return channel_url
        host, port = self._connect_to
        return channel_url.with_host(host).with_port(port)

    def _judge(self, answered: Answered) -> Answer:
        fields = fields_of(answered.headers)
        return reasons.classify(answered.status, fields, now=self._clock.now())


def _with_channel(messages: Iterator[WnsMessage], settle: Settle) -> Iterator[WnsMessage]:
    """Yield the messages that may be sent, and settle the others."""
    for message in messages:
        refusal = channel.refusal(message[2])
        if refusal is None:
            yield message
        else:
            settle(message[0], refusal)


@dataclass(slots=True)
class _Trace:
    """What became of one request; without it a time-out could mean anything."""

    written: bool = False


def _session(ssl_context: ssl.SSLContext | None, concurrency: int) -> aiohttp.ClientSession:
    connector = aiohttp.TCPConnector(
        ssl=ssl_context or True,
        limit=concurrency,
        limit_per_host=concurrency,
        keepalive_timeout=KEEP_ALIVE_SECONDS,
    )
    trace = aiohttp.TraceConfig()
    trace.on_request_headers_sent.append(_note_written)
    return aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding"),
        trace_configs=[trace],
    )


async def _note_written(
    _session: aiohttp.ClientSession,
    context: SimpleNamespace,
    _params: aiohttp.TraceRequestHeadersSentParams,
) -> None:
    context.trace_request_ctx.written = True
