"""FCM by stock pyfcm: its sessions and their requests, our access token and our reasons.

It is there to be compared with, and to fall back on (setting `transport`). pyfcm blocks, so each
connection has a thread. Its `send_request` sleeps where FCM asks for patience and repeats a 401,
both without end, and its sessions send again what was in doubt; so its first line stands here
alone, on sessions that try once.
"""

import asyncio
import ssl
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, Final

import orjson
import requests
import urllib3.exceptions
from pyfcm import FCMNotification  # type: ignore[import-untyped]  # no types
from requests.adapters import HTTPAdapter

from pushsvc.clock import Clock
from pushsvc.delivery.answers import BODY_LIMIT_BYTES, fields_of
from pushsvc.delivery.credentials import ServiceAccount
from pushsvc.delivery.fcm import reasons
from pushsvc.delivery.fcm.client import UNWRITABLE_TOKEN, FcmMessage
from pushsvc.delivery.gateway import DRAIN_SECONDS, Over, Settle, never
from pushsvc.delivery.one_by_one import OneByOne
from pushsvc.delivery.rounds import Rules, Run, drive
from pushsvc.delivery.tokens import SharedToken, Token
from pushsvc.delivery.wire import Answered, NotProcessed, Proxy, Unknown, Verdict
from pushsvc.model import Answer, FcmShape

#: DNS apart, which has its own; less than a message's time, so that no doubt arises here.
CONNECT_TIMEOUT_SECONDS: Final = 10.0
#: What a request may raise; all of requests' own are OSErrors.
FAILURES: Final = (OSError, urllib3.exceptions.HTTPError)
#: What urllib3 and ssl say before anything of a request is written.
NOT_CONNECTED: Final = (
    urllib3.exceptions.NewConnectionError,
    urllib3.exceptions.ConnectTimeoutError,
    ssl.SSLCertVerificationError,
)


class StockFcmGateway:
    """One Firebase project, by pyfcm."""

    def __init__(
        self,
        account: ServiceAccount,
        tokens: SharedToken,
        *,
        url: str,
        ca_file: Path | None,
        proxy: Proxy | None,
        connections: int,
        clock: Clock,
        timeout_seconds: float,
    ) -> None:
        """Make a gateway; threads are started when there is something to send.

        Args:
            account: the service account; its project is sent to.
            tokens: the access token of the account, in place of one for each thread.
            url: of FCM.
            ca_file: whom to trust; those whom `requests` trusts where None.
            proxy: an HTTP proxy to go through.
            connections: at most so many, each with a thread and one message at a time.
            clock: dates what Retry-After says.
            timeout_seconds: how long a message may take.
        """
        self._adapter = _Adapter(proxy, pool_connections=1, pool_maxsize=connections)
        self._make_sender = partial(
            _Sender,
            account.project_id,
            adapter=self._adapter,
            end_point_base=f"{url}/v1/projects",
            verify=str(ca_file) if ca_file else True,
            proxies={"https": f"http://{proxy}"} if proxy else {},
        )
        self._threads = ThreadPoolExecutor(connections, thread_name_prefix="pyfcm")
        self._sender: _Sender | None = None
        self._tokens = tokens
        self._clock = clock
        self._timeout_seconds = timeout_seconds
        self._messages = OneByOne(self._deliver, at_once=connections)
        self._rules: Rules[FcmShape] = Rules(
            judge=self._judge,
            renewable=reasons.RENEWABLE,
            scope=lambda answer, _shape: reasons.scope(answer),
        )

    async def send(
        self, messages: Iterator[FcmMessage], settle: Settle, over: Over = never
    ) -> None:
        """Send all, pulling messages only as fast as FCM takes them; see Gateway.send."""
        run = Run(messages, settle, self._rules, over=over)

        async def send_round(pulled: Iterator[FcmMessage], token: Token) -> bool:
            return await self._messages.send(run, pulled, token)

        await drive(run, send_round, token=self._tokens.current, renew=self._tokens.renew)

    async def close(self) -> None:
        """Let what is in flight finish, within a bound; a thread that hangs is left to its end."""
        await self._messages.drain(DRAIN_SECONDS)
        self._threads.shutdown(wait=False)
        self._adapter.close()

    async def _deliver(self, message: FcmMessage, token: Token) -> Verdict | Answer:
        _index, _key, device_token, shape = message
        try:
            body = shape.head + orjson.dumps(device_token) + shape.tail
        except orjson.JSONEncodeError:
            return UNWRITABLE_TOKEN
        post = self._threads.submit(_post, self._sender_with(token), body, self._timeout_seconds)
        try:
            async with asyncio.timeout(self._timeout_seconds):
                return await asyncio.wrap_future(post)
        except TimeoutError:
            why = f"no answer within {self._timeout_seconds} s"
            # Only what no thread has begun can be called off.
            return NotProcessed(why) if post.cancel() else Unknown(why)

    def _sender_with(self, token: Token) -> "_Sender":
        """Return a sender that shows this token; connections are the adapter's, and stay."""
        if self._sender is None or self._sender.credentials.token != token.value:
            self._sender = self._make_sender(token.value)
        return self._sender

    def _judge(self, answered: Answered) -> Answer:
        fields = fields_of(answered.headers)
        return reasons.classify(answered.status, fields, answered.body, now=self._clock.now())


class _Adapter(HTTPAdapter):
    """Credentials for the proxy as the wire has them; `requests` writes Latin-1, or fails."""

    def __init__(self, proxy: Proxy | None, **named: Any) -> None:
        super().__init__(**named)
        self._proxy_fields = proxy.headers if proxy else {}

    def proxy_headers(self, proxy: str) -> dict[str, str]:  # noqa: ARG002 - requests' signature
        """Return what a proxy is told besides the target."""
        return dict(self._proxy_fields)


class _Credentials:
    """What pyfcm asks of credentials: the project and a token."""

    def __init__(self, project_id: str, token: str) -> None:
        self.project_id = project_id
        self.token = token

    def refresh(self, request: object) -> None:
        """The token is the fleet's: nobody fetches one here."""


class _Sender(FCMNotification):  # type: ignore[misc]  # no types
    """pyfcm, trusting whom we trust, by our way, whatever the environment says."""

    def __init__(
        self,
        project_id: str,
        token: str,
        *,
        adapter: HTTPAdapter,
        end_point_base: str,
        verify: str | bool,
        proxies: Mapping[str, str],
    ) -> None:
        super().__init__(credentials=_Credentials(project_id, token), adapter=adapter)
        self.FCM_END_POINT_BASE = end_point_base
        self._verify = verify
        self._proxies = proxies

    @property
    def requests_session(self) -> requests.Session:
        """The session of the present thread."""
        session: requests.Session = super().requests_session
        session.verify = self._verify
        session.proxies.update(self._proxies)
        # Else a variable could name another CA, and .netrc another Authorization.
        session.trust_env = False
        return session


def _post(sender: _Sender, body: bytes, timeout_seconds: float) -> Verdict:
    """Send one message, in a thread of its own."""
    try:
        response = sender.requests_session.post(
            sender.fcm_end_point,
            data=body,
            timeout=(CONNECT_TIMEOUT_SECONDS, timeout_seconds),
            allow_redirects=False,
            stream=True,
        )
    except FAILURES as error:
        why = type(error).__name__
        return NotProcessed(why) if _was_not_connected(error) else Unknown(why)
    fields = tuple(
        (name.lower().encode("latin-1"), value.encode("latin-1", "replace"))
        for name, value in response.headers.items()
    )
    return Answered(response.status_code, fields, _read(response))


def _read(response: requests.Response) -> bytes:
    """Read the body, but no more than a gateway's error can be; without it the status counts."""
    body = bytearray()
    with response, suppress(*FAILURES):
        for piece in response.iter_content(BODY_LIMIT_BYTES):
            body += piece
            if len(body) > BODY_LIMIT_BYTES:
                break
    return bytes(body)


def _was_not_connected(error: Exception) -> bool:
    """Tell whether the request cannot have been written; `error` has its cause within."""
    cause = getattr(error.args[0], "reason", None) if error.args else None
    causes = (cause, *getattr(cause, "args", ()))
    return any(isinstance(one, NOT_CONNECTED) or _is_no_tunnel(one) for one in causes)


def _is_no_tunnel(error: object) -> bool:
    """http.client's own refusal. ProxyError alone is also what urllib3 makes of a lost answer."""
    return type(error) is OSError and error.errno is None
