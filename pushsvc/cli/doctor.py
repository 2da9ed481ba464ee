"""`pushsvc doctor`: looks at everything a service needs, and says what to do about what fails."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import ExitStack, asynccontextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Final

import typer
from redis.asyncio import Redis
from redis.exceptions import RedisError
from sqlalchemy import text

from pushsvc import embedded
from pushsvc.cli import session
from pushsvc.cli.display import result, table
from pushsvc.cli.failures import CommandError
from pushsvc.cli.options import Json
from pushsvc.config import Settings, SettingsError
from pushsvc.delivery import credentials as parsing, pacing
from pushsvc.delivery.credentials import CredentialError
from pushsvc.embedded.wheels import program
from pushsvc.model import Credential, GatewayName
from pushsvc.resources import located
from pushsvc.storage import apps, credentials, migrate
from pushsvc.storage.credentials import StoredCredential
from pushsvc.storage.engine import DATABASE_ERRORS
from pushsvc.storage.sealing import Seal, SealingError

LEAST_POSTGRES: Final = 14
LEAST_REDIS: Final = 6
#: All times are the database's, and APNs refuses a token that is dated an hour off: of two clocks
#: that differ either may be the wrong one. Less confuses people who compare logs.
MOST_SKEW_SECONDS: Final = 5.0
REDIS_TIMEOUT_SECONDS: Final = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What came of one check; `remedy` is empty where nothing is wrong."""

    check: str
    ok: bool
    found: str
    remedy: str = ""


DATABASE: Final = "database"


class FailedCheckError(Exception):
    """Something is wrong, or cannot be looked at; says what to do."""

    def __init__(self, found: str, remedy: str) -> None:
        super().__init__(found)
        self.remedy = remedy


app = typer.Typer(add_completion=False)


@app.command()
def doctor(*, as_json: Json = False) -> int:
    """Check servers, migrations, credentials and clocks. Exits with 1 if something is wrong."""
    read = session.settings()
    findings: list[Finding] = []
    with ExitStack() as stack:
        try:
            found = stack.enter_context(located(read))
        except (embedded.EmbeddedError, SettingsError) as error:
            # Without servers nothing else can be looked at; the message says what to do.
            remedy = "See the message."
            findings.append(Finding(check="servers", ok=False, found=str(error), remedy=remedy))
        else:
            findings.extend(asyncio.run(_examine(found, read)))
    healthy = all(one.ok for one in findings)
    rows = [("ok" if one.ok else "FAILED", one.check, one.found) for one in findings]
    remedies = [f"{one.check}: {one.remedy}" for one in findings if one.remedy]
    value = {"ok": healthy, "checks": [asdict(one) for one in findings]}
    result(value, table(("", "check", "found"), rows), *remedies, as_json=as_json)
    return int(not healthy)


async def _examine(found: Settings, read: Settings) -> list[Finding]:
    """Run the checks in order.

    Args:
        found: the settings with the servers filled in.
        read: the settings as people wrote them.
    """
    checks: list[tuple[str, Callable[[], Awaitable[str]]]] = [
        ("wheels", lambda: _wheels(read)),
        ("redis", lambda: _redis(found)),
        ("gateway CA", lambda: _gateway_ca(found)),
        (DATABASE, lambda: _database(found)),
    ]
    of_database: list[tuple[str, Callable[[], Awaitable[str]]]] = [
        ("migrations", lambda: _migrations(found)),
        ("secret key", lambda: _secret_key(found)),
        ("credentials", lambda: _credentials(found)),
        ("circuits", lambda: _circuits(found)),
        ("clock", lambda: _clock(found)),
    ]
    findings = [await _finding(name, check) for name, check in checks]
    if not findings[-1].ok:
        remedy = "Make the database answer first."
        return findings + [
            Finding(check=name, ok=False, found="not looked at", remedy=remedy)
            for name, _ in of_database
        ]
    return findings + [await _finding(name, check) for name, check in of_database]


async def _finding(name: str, check: Callable[[], Awaitable[str]]) -> Finding:
    try:
        return Finding(check=name, ok=True, found=await check())
    except FailedCheckError as error:
        return Finding(check=name, ok=False, found=str(error), remedy=error.remedy)
    except DATABASE_ERRORS as error:
        remedy = "Run `pushsvc migrate` if migrations are missing; else see the message."
        return Finding(check=name, ok=False, found=_line(error), remedy=remedy)


async def _wheels(read: Settings) -> str:
    """The embedded servers that are used are installed."""
    wanted: list[embedded.Kind] = []
    if read.database_url is None:
        wanted.append("postgres")
    if read.redis_url is None:
        wanted.append("redis")
    for kind in wanted:
        try:
            program(kind)
        except embedded.NoWheelError as error:
            raise FailedCheckError(str(error), "See the message.") from error
    return f"embedded: {', '.join(wanted)}" if wanted else "none needed"


async def _database(found: Settings) -> str:
    """PostgreSQL answers and is not too old."""
    try:
        async with session.reached(found) as engine, engine.connect() as connection:
            number = int((await connection.execute(text("SHOW server_version_num"))).scalar_one())
    except CommandError as error:
        remedy = "Start the server, or check PUSHSVC_DATABASE_URL."
        raise FailedCheckError(_line(error.__cause__ or error), remedy) from error
    major = number // 10_000
    if major < LEAST_POSTGRES:
        remedy = f"Upgrade the server to PostgreSQL {LEAST_POSTGRES} or newer."
        raise FailedCheckError(f"PostgreSQL {major}", remedy)
    return f"PostgreSQL {major} at {session.shown_url(found.database_url)}"


async def _migrations(found: Settings) -> str:
    """The database is at this version's level."""
    async with session.reached(found) as engine, engine.connect() as connection:
        try:
            missing = await migrate.pending(connection)
        except migrate.UnknownRevisionError as error:
            raise FailedCheckError(str(error), "Upgrade pushsvc.") from error
        level = await migrate.current(connection)
    if missing:
        raise FailedCheckError(f"lacks {', '.join(missing)}", "Run `pushsvc migrate`.")
    return f"at {level}"


async def _redis(found: Settings) -> str:
    """Redis answers and is not too old."""
    remedy = "Start Redis, or check PUSHSVC_REDIS_URL."
    try:
        async with _connected(found) as redis:
            version = str((await redis.info("server"))["redis_version"])
    except (RedisError, OSError) as error:
        raise FailedCheckError(f"cannot be reached: {_line(error)}", remedy) from error
    if int(version.partition(".")[0]) < LEAST_REDIS:
        remedy = f"Upgrade the server to Redis {LEAST_REDIS} or newer."
        raise FailedCheckError(f"Redis {version}", remedy)
    return f"Redis {version} at {session.shown_url(found.redis_url)}"


@asynccontextmanager
async def _connected(found: Settings) -> AsyncIterator["Redis"]:
    assert found.redis_url
    timeout = REDIS_TIMEOUT_SECONDS
    redis = Redis.from_url(found.redis_url, socket_connect_timeout=timeout, socket_timeout=timeout)
    try:
        yield redis
    finally:
        await redis.aclose()


async def _secret_key(found: Settings) -> str:
    """The key opens what is stored."""
    try:
        opened, sealed = await _opened(found)
    except SealingError as error:
        remedy = "Set PUSHSVC_SECRET_KEY to the key that the credentials were stored with."
        raise FailedCheckError(str(error), remedy) from error
    if sealed:
        remedy = (
            "Restore the PUSHSVC_SECRET_KEY they were stored with, or "
            "`pushsvc credential revoke ID` each, and add it again."
        )
        raise FailedCheckError(f"does not open {', '.join(map(_named, sealed))}", remedy)
    return f"opens {len(opened)} credential(s)"


async def _credentials(found: Settings) -> str:
    """Every credential in use can be used."""
    mend_first = "Mend the secret key first."
    try:
        opened, sealed = await _opened(found)
    except SealingError as error:
        raise FailedCheckError("cannot be opened", mend_first) from error
    for name, one in opened:
        try:
            _parse(one)
        except CredentialError as error:
            told = f"{_named((name, one))}: {error}"
            remedy = f"`pushsvc credential revoke {one.id}`, and add it again."
            raise FailedCheckError(told, remedy) from error
    if sealed:
        told = f"{', '.join(map(_named, sealed))} cannot be opened"
        raise FailedCheckError(told, mend_first)
    return f"{len(opened)} in use, all well-formed"


async def _circuits(found: Settings) -> str:
    """No gateway is in trouble with any credential."""
    async with session.reached(found) as engine, engine.connect() as connection:
        named = {
            stored.id: _named((app_.name, stored))
            for app_ in await apps.list_apps(connection)
            for stored in await credentials.list_credentials(connection, app_id=app_.id)
        }
    try:
        async with _connected(found) as redis:
            broken = await pacing.open_circuits(redis, list(named))
    except (RedisError, OSError) as error:
        raise FailedCheckError("not looked at", "Make Redis answer first.") from error
    if broken:
        told = [
            f"{named[one.credential_id]}: {one.trouble} ({one.reason}) since {_moment(one.since)}, "
            f"next probe {_moment(one.next_probe)}"
            for one in broken
        ]
        remedy = (
            "What is refused needs a new credential (`pushsvc credential add`); else look for an "
            "outage of the gateway, or of the network on the way. It is tried again by itself."
        )
        raise FailedCheckError("; ".join(told), remedy)
    return "all closed"


def _moment(epoch_seconds: float) -> str:
    return datetime.fromtimestamp(epoch_seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


async def _clock(found: Settings) -> str:
    """The database's clock and ours agree."""
    async with session.reached(found) as engine, engine.connect() as connection:
        before = datetime.now(UTC)
        theirs = (await connection.execute(text("SELECT clock_timestamp()"))).scalar_one()
        after = datetime.now(UTC)
    # What the question itself took is no skew.
    skew = (theirs - before - (after - before) / 2).total_seconds()
    if abs(skew) > MOST_SKEW_SECONDS:
        remedy = "Run NTP on this machine and on the database's."
        raise FailedCheckError(f"the database is {skew:+.1f} s off this machine", remedy)
    return f"the database is {skew:+.3f} s off this machine"


async def _gateway_ca(found: Settings) -> str:
    """The gateways' CA certificates, if configured, can be read."""
    path = found.gateway_ca_file
    if path is None:
        return "the system's"
    try:
        ssl.create_default_context(cafile=path)
    except (OSError, ssl.SSLError) as error:
        remedy = "Check PUSHSVC_GATEWAY_CA_FILE: it names a PEM file, or is unset."
        raise FailedCheckError(f"{path}: {_line(error)}", remedy) from error
    return str(path)


async def _opened(
    found: Settings,
) -> tuple[list[tuple[str, Credential]], list[tuple[str, StoredCredential]]]:
    """Return the credentials that open and those that do not, each with its app's name.

    Raises:
        SealingError: the secret key is none.
    """
    assert found.secret_key
    seal = Seal(found.secret_key.get_secret_value())
    opened: list[tuple[str, Credential]] = []
    sealed: list[tuple[str, StoredCredential]] = []
    async with session.reached(found) as engine, engine.connect() as connection:
        for app_ in await apps.list_apps(connection):
            for stored in await credentials.list_credentials(connection, app_id=app_.id):
                try:
                    opened.append((app_.name, credentials.open_credential(seal, stored)))
                except SealingError:
                    sealed.append((app_.name, stored))
    return opened, sealed


def _named(found: tuple[str, Credential | StoredCredential]) -> str:
    name, one = found
    return f"credential {one.id} ({one.gateway.value}) of {name}"


def _parse(one: Credential) -> None:
    match one.gateway:
        case GatewayName.APNS:
            parsing.parse_apns(one.public, one.secret)
        case GatewayName.FCM:
            parsing.parse_service_account(one.secret)
        case GatewayName.WNS:
            parsing.parse_wns(one.public, one.secret)


def _line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0] or type(error).__name__
