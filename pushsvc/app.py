"""The ASGI application: routes, middleware, error table, lifespan; and the server that runs it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware

import pushsvc
from pushsvc.api import health, server, unrouted
from pushsvc.api.auth import Doorkeeper
from pushsvc.api.body_limit import BodyLimitMiddleware
from pushsvc.api.cors import CorsMiddleware
from pushsvc.api.failures import FailuresMiddleware
from pushsvc.api.mounts import parse_mounts
from pushsvc.api.parse import routes as parse
from pushsvc.api.request_id import RequestIdMiddleware
from pushsvc.api.v1 import openapi, pushes
from pushsvc.config import Settings
from pushsvc.resources import open_resources


def create_app(settings: Settings) -> FastAPI:
    """Return the application; `settings` come from `resources.located`."""
    mounts = parse_mounts(settings)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with open_resources(settings) as resources:
            app.state.resources = resources
            app.state.doorkeeper = Doorkeeper(resources.engine, resources.clock)
            yield

    app = FastAPI(
        title="pushsvc",
        version=pushsvc.__version__,
        openapi_url=openapi.PATH,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        lifespan=lifespan,
        middleware=[
            Middleware(RequestIdMiddleware),
            Middleware(CorsMiddleware, mounts=mounts),
            Middleware(
                FailuresMiddleware,
                parse_mounts=mounts,
                parse_texts=settings.parse_error_texts,
            ),
            Middleware(BodyLimitMiddleware, limit_bytes=settings.body_limit_bytes),
        ],
        exception_handlers={
            HTTPException: unrouted.refuse,
            RequestValidationError: unrouted.pass_on,
        },
    )
    # Tried in this order: most requests are devices that register.
    for mount in mounts:
        app.router.routes.extend(parse.routes(mount))
    app.router.routes.extend(pushes.router.routes)
    app.router.routes.extend(health.ROUTES)
    app.openapi = openapi.document(app)  # type: ignore[method-assign] # FastAPI's own way
    return app


async def run_api(settings: Settings, *, ready: Callable[[int], None], stop: asyncio.Event) -> None:
    """Run the API until `stop` is set; `ready` is told the port once requests are taken.

    Raises:
        server.ListenError: the port is taken, or the address is not ours.
    """
    app = create_app(settings)
    async with app.router.lifespan_context(app):
        await server.serve(app, settings, ready=ready, stop=stop)
