"""Connections through an HTTP proxy: tunnels asked for, given, refused and lost."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager

import pytest

from pushsvc.delivery.wire import (
    Answered,
    Limits,
    NotProcessed,
    Origin,
    Pool,
    Proxy,
    Unknown,
    client_context,
)
from tests.integration.wire import fate
from tests.integration.wire.certificates import Authority
from tests.integration.wire.connect_proxy import (
    ConnectProxy,
    Play,
    dribble,
    hanging_up_after,
    saying,
    tunnel_after,
)
from tests.integration.wire.peer import Peer, Wire, answer_all
from tests.integration.wire.sending import SECONDS, Told, calls, until

pytestmark = pytest.mark.integration

#: No name server knows it; only a proxy's route leads there.
HOST = "gateway.invalid"
TARGET = f"{HOST}:443"
LIMITS = Limits(max_connections=1, backoff_first_seconds=0.01)
#: For proxies that are silent.
QUICK = Limits(connect_attempts=1, connect_timeout_seconds=0.5)

OpenThrough = Callable[..., Pool]


@pytest.fixture
async def open_through(authority: Authority) -> AsyncIterator[OpenThrough]:
    """Opens pools to HOST through a proxy, and closes them after the test."""
    async with AsyncExitStack() as stack:

        def open_one(proxy: Proxy, limits: Limits = LIMITS) -> Pool:
            context = client_context(authority.ca_file)
            pool = Pool(Origin(HOST), ssl_context=context, limits=limits, proxy=proxy)
            stack.push_async_callback(pool.close, drain_seconds=1.0)
            return pool

        yield open_one


@asynccontextmanager
async def behind(
    proxy: ConnectProxy, authority: Authority, *, peer: Peer | None = None
) -> AsyncIterator[Peer]:
    """A gateway named HOST that the proxy has a route to."""
    async with (peer or Peer()).listen(authority.server_context(HOST)) as listening, proxy.listen():
        proxy.routes[TARGET] = ("127.0.0.1", listening.port)
        yield listening


async def sent(pool: Pool, count: int = 3) -> Told:
    """What became of some calls."""
    told = Told()
    await pool.send_many(calls(range(count)), told, timeout_seconds=SECONDS)
    return told


async def given_back(pool: Pool) -> str:
    """Send three calls that all come back for the same reason."""
    told = await sent(pool)
    assert told.keys(NotProcessed) == [0, 1, 2]
    (verdict,) = set(told.verdicts.values())
    assert isinstance(verdict, NotProcessed)
    return verdict.why


# -- Tunnels ----------------------------------------------------------------------------------


async def test_requests_go_through_the_tunnel(
    authority: Authority, open_through: OpenThrough
) -> None:
    """The origin's name is looked up by the proxy alone; without credentials none are sent."""
    proxy = ConnectProxy()
    async with behind(proxy, authority):
        pool = open_through(proxy.proxy)
        told = await sent(pool, 2000)

        assert told.own() == list(range(2000))
        assert fate.leaks(pool) == []
        (asked,) = proxy.asked
        assert (asked.target, asked.fields) == (TARGET, {"host": TARGET})


@pytest.mark.parametrize(
    "credentials",
    [
        pytest.param(("user", "pass"), id="plain"),
        pytest.param(("user@corp", "a:b/c#d?e%f g"), id="percent-encoded"),
        pytest.param(("jürgen", "密码"), id="not ASCII"),
        pytest.param(("user", ""), id="no password"),
    ],
)
async def test_credentials_are_for_the_proxy_alone(
    authority: Authority, open_through: OpenThrough, credentials: tuple[str, str]
) -> None:
    """They open the tunnel (RFC 7617), and the gateway does not see them."""
    proxy = ConnectProxy(credentials=credentials)
    seen: list[bytes] = []

    async def note(wire: Wire) -> None:
        request = await wire.request()
        seen.extend(request.fields)
        wire.answer(request.stream_id)
        await answer_all(wire)

    async with behind(proxy, authority, peer=Peer(note)):
        told = await sent(open_through(proxy.proxy))

    assert told.keys(Answered) == [0, 1, 2]
    assert b"authorization" in seen
    assert b"proxy-authorization" not in seen


async def test_tls_is_with_the_origin(authority: Authority, open_through: OpenThrough) -> None:
    """SNI has the origin's name, and neither names nor port of the proxy come into it."""
    names: list[str | None] = []
    context = authority.server_context(HOST)
    context.sni_callback = lambda _tls, name, _context: names.append(name)
    proxy = ConnectProxy()
    async with Peer().listen(context) as peer, proxy.listen():
        proxy.routes[TARGET] = ("127.0.0.1", peer.port)
        told = await sent(open_through(proxy.proxy))

    assert told.own() == [0, 1, 2]
    assert names == [HOST]


async def test_what_dns_says_is_replaced_behind_the_proxy(authority: Authority) -> None:
    """`connect_to` is where the tunnel leads; TLS verifies the origin's host as ever."""
    proxy = ConnectProxy()
    async with Peer().listen(authority.server_context(HOST)) as peer, proxy.listen():
        proxy.routes["elsewhere.invalid:8443"] = ("127.0.0.1", peer.port)
        pool = Pool(
            Origin(HOST),
            ssl_context=client_context(authority.ca_file),
            connect_to=("elsewhere.invalid", 8443),
            proxy=proxy.proxy,
        )
        told = await sent(pool)
        await pool.close()

    assert told.own() == [0, 1, 2]
    assert proxy.targets == ["elsewhere.invalid:8443"]


@pytest.mark.parametrize(
    "play",
    [
        pytest.param(dribble, id="octet by octet"),
        pytest.param(tunnel_after(b"HTTP/1.0 200 OK\r\n\r\n"), id="HTTP/1.0"),
        pytest.param(tunnel_after(b"HTTP/1.1 204\r\n\r\n"), id="another 2xx, without a reason"),
        pytest.param(
            tunnel_after(
                b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\nTransfer-Encoding: chunked\r\n\r\n"
            ),
            id="fields that mean nothing here",
        ),
        pytest.param(
            tunnel_after(b"HTTP/1.1 103 Wait\r\nA: b\r\n\r\nHTTP/1.1 200 OK\r\n\r\n"),
            id="an interim answer before",
        ),
    ],
)
async def test_answers_that_are_a_tunnel(
    authority: Authority, open_through: OpenThrough, play: Play
) -> None:
    """Any 2xx, however it comes (RFC 9110 section 9.3.6)."""
    proxy = ConnectProxy(play)
    async with behind(proxy, authority):
        told = await sent(open_through(proxy.proxy))

    assert told.own() == [0, 1, 2]


async def test_each_connection_has_a_tunnel_of_its_own(
    authority: Authority, open_through: OpenThrough
) -> None:
    """What replaces a connection goes through the proxy again."""

    async def one(wire: Wire) -> None:
        wire.answer((await wire.request()).stream_id)
        wire.close()

    proxy = ConnectProxy()
    async with behind(proxy, authority, peer=Peer(one, answer_all)):
        pool = open_through(proxy.proxy)
        await sent(pool, 1)
        await until(lambda: not pool.stats.connections)
        told = await sent(pool)

    assert told.own() == [0, 1, 2]
    assert proxy.targets == [TARGET, TARGET]


async def test_small_requests_are_not_held_back(
    authority: Authority, open_through: OpenThrough
) -> None:
    """Nagle's algorithm is off on a socket that the transport was handed, too."""
    proxy = ConnectProxy()
    async with behind(proxy, authority):
        pool = open_through(proxy.proxy)
        await sent(pool)

        (link,) = fate.links(pool)
        assert link._transport
        sock = link._transport.get_extra_info("socket")
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


async def test_a_tunnel_that_is_cut(authority: Authority, open_through: OpenThrough) -> None:
    """What was written is in doubt, as on any connection; the next request has a new tunnel."""
    proxy = ConnectProxy()

    async def cut(wire: Wire) -> None:
        await wire.requests(3)
        proxy.cut()

    async with behind(proxy, authority, peer=Peer(cut, answer_all)):
        pool = open_through(proxy.proxy)
        lost, told = await sent(pool), await sent(pool)

    assert lost.keys(Unknown) == [0, 1, 2]
    assert told.own() == [0, 1, 2]


# -- No tunnel --------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [301, 400, 403, 404, 500, 502, 504])
async def test_a_refusal_is_told_with_its_status(open_through: OpenThrough, status: int) -> None:
    """Nothing but 2xx is a tunnel, and whoever reads the reason knows who said it."""
    answer = b"HTTP/1.1 %d Reason\r\nContent-Length: 0\r\n\r\n" % status
    async with ConnectProxy(saying(answer)).listen() as proxy:
        why = await given_back(open_through(proxy.proxy))

    assert f"no connection: proxy 127.0.0.1:{proxy.port}: answers {status} to CONNECT" in why


@pytest.mark.parametrize("told", ["", "user:hunter2@"], ids=["missing", "wrong"])
async def test_refused_credentials_are_told_and_not_shown(
    open_through: OpenThrough, told: str
) -> None:
    """407 says what to look at; a reason is stored and shown, so it has no secret in it."""
    async with ConnectProxy(credentials=("user", "right")).listen() as proxy:
        given = Proxy.from_url(f"http://{told}127.0.0.1:{proxy.port}")
        why = await given_back(open_through(given))

    assert "answers 407 to CONNECT, credentials missing or wrong" in why
    assert "hunter2" not in f"{why} {given} {given!r}"
    assert given.authorization is None or given.authorization not in why


@pytest.mark.parametrize(
    ("play", "reason"),
    [
        pytest.param(saying(b"SSH-2.0-OpenSSH_9.2\r\n"), "does not speak HTTP/1", id="not HTTP"),
        pytest.param(saying(b"\x15\x03\x01\x00\x02\x02\x46"), "does not speak HTTP/1", id="TLS"),
        pytest.param(saying(b"HTTP/1.1 OK\r\n\r\n"), "without a status", id="no status"),
        pytest.param(saying(b"HTTP/1.1 2000 OK\r\n\r\n"), "without a status", id="four digits"),
        pytest.param(
            saying(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 20_000),
            "without an end in 16384",
            id="endless",
        ),
        pytest.param(
            saying(b"HTTP/1.1 100 Wait\r\n\r\n" * 2_000),
            "without an end in 16384",
            id="endless waiting",
        ),
        pytest.param(
            saying(b"HTTP/1.1 200 OK\r\n\r\nboo"), "speak in the tunnel", id="more than a head"
        ),
        pytest.param(hanging_up_after(b""), "closed the connection", id="nothing"),
        pytest.param(
            hanging_up_after(b"HTTP/1.1 200 OK\r\nX"), "closed the connection", id="half a head"
        ),
        pytest.param(
            hanging_up_after(b"HTTP/1.1 200 OK\r\n\r\n"), "Connection", id="a tunnel to nowhere"
        ),
        pytest.param(saying(b""), "no answer in time", id="silence"),
        pytest.param(saying(b"HTTP/1.1 200 OK\r\n"), "no answer in time", id="half a silence"),
        pytest.param(
            saying(b"HTTP/1.1 200 OK\r\n\r\n"), "no answer in time", id="a tunnel without TLS"
        ),
    ],
)
async def test_answers_that_are_no_tunnel(
    open_through: OpenThrough, play: Play, reason: str
) -> None:
    """All calls come back, within the time to connect, and the proxy is left."""
    async with ConnectProxy(play).listen() as proxy:
        limits = QUICK if "in time" in reason else LIMITS
        assert reason in await given_back(open_through(proxy.proxy, limits))
        await until(lambda: not proxy.open)


async def test_a_proxy_that_is_not_there(open_through: OpenThrough) -> None:
    """Whoever reads the reason knows that the proxy is meant, not the gateway."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        proxy = Proxy(host="127.0.0.1", port=bound.getsockname()[1])
        why = await given_back(open_through(proxy))

    assert f"proxy {proxy}: [Errno" in why


async def test_a_proxy_without_an_address(open_through: OpenThrough) -> None:
    """The proxy's name is looked up, and told when it has no address."""
    proxy = Proxy(host="no-such-proxy.invalid", port=3128)

    assert "proxy no-such-proxy.invalid: no address" in await given_back(open_through(proxy))


async def test_a_pool_that_is_closed_while_it_asks(open_through: OpenThrough) -> None:
    """A connect that is called off leaves no socket behind."""
    async with ConnectProxy(saying(b"HTTP/1.1 ")).listen() as proxy:
        pool = open_through(proxy.proxy, Limits())
        sending = asyncio.create_task(sent(pool))
        await until(lambda: proxy.asked)
        async with fate.nothing_leaks(pool):
            await pool.close()
        await until(lambda: not proxy.open)

    assert (await sending).keys(NotProcessed) == [0, 1, 2]


# -- TLS behind it ----------------------------------------------------------------------------


async def test_a_certificate_for_another_name(
    authority: Authority, open_through: OpenThrough
) -> None:
    """A proxy that leads elsewhere is found out."""
    context = authority.server_context("other.example")
    async with Peer().listen(context) as peer, ConnectProxy().listen() as proxy:
        proxy.routes[TARGET] = ("127.0.0.1", peer.port)

        assert "CERTIFICATE_VERIFY_FAILED" in await given_back(open_through(proxy.proxy))
        await until(lambda: not proxy.open)


async def test_a_proxy_that_opens_tls_itself(tmp_path_factory: pytest.TempPathFactory) -> None:
    """A company's own authority in the middle is trusted only as the given one."""
    company = Authority(tmp_path_factory.mktemp("company"))
    contexts = {True: client_context(company.ca_file), False: client_context()}
    async with Peer().listen(company.server_context(HOST)) as peer, ConnectProxy().listen() as way:
        way.routes[TARGET] = ("127.0.0.1", peer.port)
        trusted, system = (
            Pool(Origin(HOST), ssl_context=contexts[known], limits=LIMITS, proxy=way.proxy)
            for known in (True, False)
        )
        assert (await sent(trusted)).own() == [0, 1, 2]
        assert "CERTIFICATE_VERIFY_FAILED" in await given_back(system)
        await trusted.close()
        await system.close()


@pytest.mark.parametrize("alpn", ["http/1.1", None])
async def test_a_gateway_without_h2(
    authority: Authority, open_through: OpenThrough, alpn: str | None
) -> None:
    """ALPN must agree on h2 behind a proxy, too; one that opens TLS often does not."""
    context: ssl.SSLContext = authority.server_context(HOST, alpn=alpn)
    async with Peer().listen(context) as peer, ConnectProxy().listen() as proxy:
        proxy.routes[TARGET] = ("127.0.0.1", peer.port)

        assert "does not speak h2" in await given_back(open_through(proxy.proxy))
        await until(lambda: not proxy.open)
