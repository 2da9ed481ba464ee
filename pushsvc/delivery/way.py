"""The way of what aiohttp sends, which is WNS's and the tokens': past or through a proxy."""

from collections.abc import Mapping
from typing import TypedDict

import aiohttp

from pushsvc.delivery.wire import Proxy


class Way(TypedDict):
    """What aiohttp is told with each request."""

    proxy: str | None
    proxy_headers: Mapping[str, str] | None


def through(proxy: Proxy | None) -> Way:
    """Return the way through a proxy, or past any.

    Credentials are a field and no part of the URL: aiohttp's errors show the URL.
    """
    if proxy is None:
        return {"proxy": None, "proxy_headers": None}
    return {"proxy": f"http://{proxy}", "proxy_headers": proxy.headers}


def failure(error: Exception) -> str:
    """Return a word for why there was no answer; what a proxy has answered stands behind it."""
    name = type(error).__name__
    return f"{name} {error.status}" if isinstance(error, aiohttp.ClientHttpProxyError) else name
