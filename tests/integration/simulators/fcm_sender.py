"""An FCM sender for tests: tokens over HTTP/1.1, messages over HTTP/2."""

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import orjson

from pushsvc.simulators import Endpoints
from tests.integration.simulators.client import Fields, Reply, Sender, assertion, connect

GRANT_TYPE = "urn:ietf:params:oauth:grant-type:jwt-bearer"


@asynccontextmanager
async def http1(endpoints: Endpoints) -> AsyncIterator[aiohttp.ClientSession]:
    """An HTTP/1.1 client that trusts the simulators."""
    context = ssl.create_default_context(cafile=str(endpoints.ca_file))
    connector = aiohttp.TCPConnector(ssl=context)
    timeout = aiohttp.ClientTimeout(total=5)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
        yield session


async def fetch_token(endpoints: Endpoints, **claims: Any) -> tuple[int, dict[str, Any]]:
    """Ask the token endpoint; returns status and body."""
    form = {"grant_type": GRANT_TYPE, "assertion": assertion(endpoints, **claims)}
    async with http1(endpoints) as session, session.post(endpoints.fcm_token_url, data=form) as got:
        return got.status, await got.json()


async def access_token(endpoints: Endpoints) -> str:
    """A fresh access token."""
    _, body = await fetch_token(endpoints)
    return str(body["access_token"])


def fields(endpoints: Endpoints, token: str, **changes: str | None) -> Fields:
    """A good request's fields; `None` leaves one out."""
    project = endpoints.credentials.fcm.project_id
    given: dict[str, str | None] = {
        ":method": "POST",
        ":scheme": "https",
        ":authority": "fcm.googleapis.com",
        ":path": f"/v1/projects/{project}/messages:send",
        "authorization": f"Bearer {token}",
        "content-type": "application/json",
    }
    given |= {f":{name}" if name in {"path", "method"} else name: changes[name] for name in changes}
    return {name: value for name, value in given.items() if value is not None}


def message(token: str = "device:1", **members: Any) -> dict[str, Any]:
    """A request body; members go into the message."""
    return {"message": {"token": token, "notification": {"title": "hello"}} | members}


class Fcm:
    """A connection and a credential."""

    def __init__(self, endpoints: Endpoints, sender: Sender, token: str) -> None:
        self.endpoints = endpoints
        self.sender = sender
        self.token = token

    async def start(self, body: Any, **changes: str | None) -> int:
        """Write a request; returns its stream."""
        written = body if isinstance(body, bytes) else orjson.dumps(body)
        return await self.sender.send(fields(self.endpoints, self.token, **changes), written)

    async def ask(self, body: Any, **changes: str | None) -> Reply:
        """Write a request and wait for its end."""
        return await self.sender.reply(await self.start(body, **changes))


@asynccontextmanager
async def fcm(endpoints: Endpoints) -> AsyncIterator[Fcm]:
    """A sender that is signed in."""
    token = await access_token(endpoints)
    async with connect(endpoints.fcm_url, endpoints) as sender:
        yield Fcm(endpoints, sender, token)
