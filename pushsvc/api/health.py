"""Whether the process lives, and whether it can work."""

from typing import Final

from redis.exceptions import RedisError
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from pushsvc.api.error_table import caller_error
from pushsvc.api.replies import json_response
from pushsvc.model import Json
from pushsvc.resources import Resources
from pushsvc.storage import migrate
from pushsvc.storage.engine import DATABASE_ERRORS

OK: Final = "ok"
UNREADY: Final = 503
RETRY_AFTER_SECONDS: Final = 2


async def livez(_request: Request) -> Response:
    """Say that the process answers."""
    return json_response({"status": OK})


async def readyz(request: Request) -> Response:
    """Say whether requests can be served, and what is not as it should be.

    Without the database they cannot. Without Redis they can: pushes are stored, and go out when it
    is back; a balancer that took the API away for that would lose them. At a newer level they can,
    too: between the migration and the deployment there is nobody else to serve them.
    """
    resources: Resources = request.app.state.resources
    is_usable, database = await database_state(resources)
    redis = await _redis(resources)
    checks = {"database": database, "redis": redis}
    if not is_usable:
        return unready({"status": "unready", "checks": checks})
    status = OK if database == redis == OK else "degraded"
    return json_response({"status": status, "checks": checks})


def unready(content: Json) -> Response:
    """Return that requests cannot be served now, and when to ask again."""
    headers = {"Retry-After": str(RETRY_AFTER_SECONDS)}
    return json_response(content, status=UNREADY, headers=headers)


async def database_state(resources: Resources) -> tuple[bool, str]:
    """Tell whether PostgreSQL can be used; `ok`, or what is wrong: away, or at another level."""
    try:
        async with resources.engine.connect() as connection:
            missing = await migrate.pending(connection)
    except migrate.UnknownRevisionError as error:
        return True, str(error)
    except DATABASE_ERRORS as error:
        return False, caller_error(error).detail
    if missing:
        return False, f"The database lacks {len(missing)} migration(s). Run `pushsvc migrate`."
    return True, OK


async def _redis(resources: Resources) -> str:
    """Return `ok`, or that Redis is away: pushes are stored then, and delivered by the clock."""
    try:
        await resources.queue.redis.ping()
    except (RedisError, OSError):
        return "Redis cannot be reached."
    return OK


ROUTES: Final = (
    Route("/livez", livez, methods=["GET"]),
    Route("/readyz", readyz, methods=["GET"]),
    Route("/healthz", readyz, methods=["GET"]),
)
