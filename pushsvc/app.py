"""The ASGI application: routes, middleware, error table, lifespan; and the server that runs it."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.types import ASGIApp, Receive, Scope, Send

import pushsvc
from pushsvc.api import health, server, unrouted
from pushsvc.api.auth import Doorkeeper
from pushsvc.api.body_limit import BodyLimitMiddleware, Held
from pushsvc.api.cors import CorsMiddleware
from pushsvc.api.failures import FailuresMiddleware
from pushsvc.api.mounts import is_under, parse_mounts
from pushsvc.api.parse.door import ParseDoor
from pushsvc.api.request_id import RequestIdMiddleware
from pushsvc.api.v1 import (
    campaigns,
    deliveries,
    door,
    openapi,
    previews,
    pushes,
    reports,
    reviews,
    steps,
    templates,
    token_history,
    waves,
)
from pushsvc.config import Settings
from pushsvc.resources import open_resources


def create_app(settings: Settings) -> FastAPI:
    """Return the application but for its doors; `settings` come from `resources.located`."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with open_resources(settings) as resources:
            app.state.resources = resources
            app.state.doorkeeper = Doorkeeper(resources.engine, resources.clock)
            yield

    held = Held()
    app = FastAPI(
        title="pushsvc",
        version=pushsvc.__version__,
        openapi_url=openapi.PATH,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        lifespan=lifespan,
        middleware=_around(settings, held),
        exception_handlers={
            HTTPException: unrouted.refuse,
            RequestValidationError: unrouted.pass_on,
        },
    )
    app.state.held = held
    app.router.routes.extend(pushes.router.routes)
    app.router.routes.extend(deliveries.router.routes)
    app.router.routes.extend(waves.router.routes)
    app.router.routes.extend(steps.router.routes)
    app.router.routes.extend(reviews.router.routes)
    app.router.routes.extend(reports.router.routes)
    app.router.routes.extend(previews.router.routes)
    app.router.routes.extend(templates.router.routes)
    app.router.routes.extend(campaigns.router.routes)
    app.router.routes.extend(token_history.router.routes)
    app.router.routes.extend(health.ROUTES)
    app.openapi = openapi.document(app)  # type: ignore[method-assign] # FastAPI's own way
    return app


def with_doors(app: FastAPI, settings: Settings) -> ASGIApp:
    """Return the application with what has no framework beside it, and shares its state.

    That is the Parse API, and the one request of `/v1` of which there are thousands a second.
    """
    mounts = parse_mounts(settings)
    outermost, *others = _around(settings, app.state.held)
    parse = _within(
        [outermost, Middleware(CorsMiddleware), *others],
        ParseDoor(mounts=mounts, state=app.state),
    )
    push = _within([outermost, *others], door.PushDoor(app))

    async def front(scope: Scope, receive: Receive, send: Send) -> None:
        if door.is_for(scope):
            await push(scope, receive, send)
        elif scope["type"] == "http" and is_under(scope["path"], mounts):
            await parse(scope, receive, send)
        else:
            await app(scope, receive, send)

    return front


def _within(layers: Sequence[Middleware], app: ASGIApp) -> ASGIApp:
    for layer, arguments, options in reversed(layers):
        app = layer(app, *arguments, **options)
    return app


def _around(settings: Settings, held: Held) -> list[Middleware]:
    """Return what is around every request, the outermost first."""
    return [
        Middleware(RequestIdMiddleware),
        Middleware(
            FailuresMiddleware,
            parse_mounts=parse_mounts(settings),
            parse_texts=settings.parse_error_texts,
        ),
        Middleware(BodyLimitMiddleware, limit_bytes=settings.body_limit_bytes, held=held),
    ]


async def run_api(settings: Settings, *, ready: Callable[[int], None], stop: asyncio.Event) -> None:
    """Run the API until `stop` is set; `ready` is told the port once requests are taken.

    Raises:
        server.ListenError: the port is taken, or the address is not ours.
    """
    app = create_app(settings)
    async with app.router.lifespan_context(app):
        letting_go = asyncio.create_task(_let_go(stop, app), name="let go of who waits")
        try:
            await server.serve(with_doors(app, settings), settings, ready=ready, stop=stop)
        finally:
            letting_go.cancel()


async def _let_go(stop: asyncio.Event, app: FastAPI) -> None:
    """Answer the requests that wait for outcomes as soon as the API is to stop."""
    await stop.wait()
    app.state.resources.closings.let_go()
