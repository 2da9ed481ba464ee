"""The control endpoint: plain HTTP for demos and tests to read the ledger and write the script."""

from collections.abc import Callable, Mapping
from typing import Any

import orjson
from aiohttp import web

from pushsvc.simulators.faults import FaultTable
from pushsvc.simulators.gateway import Gateway
from pushsvc.simulators.ledger import Ledger
from pushsvc.simulators.registry import RegistrationError, Registry
from pushsvc.simulators.script import Rule, Script, ScriptError
from pushsvc.simulators.storms import Storm, StormError, Storms
from pushsvc.simulators.token_endpoint import TOKEN_FAULTS

DEFAULT_PAGE = 1000
MAX_PAGE = 10_000
#: A rule has these members; one more is a mistake of the caller.
RULE_FIELDS = set(Rule.__slots__)
STORM_FIELDS = set(Storm.__slots__)


class ControlError(ValueError):
    """The request to the control endpoint is wrong; the message says how."""


class Control:
    """What the control endpoint can do."""

    def __init__(
        self,
        *,
        gateways: Mapping[str, Gateway],
        ledger: Ledger,
        script: Script,
        storms: Storms,
        registry: Registry,
        provider_tokens: Callable[[], int],
        endpoints: Callable[[], dict[str, Any]],
        forget: Callable[[], None],
    ) -> None:
        self._gateways = gateways
        self._ledger = ledger
        self._script = script
        self._storms = storms
        self._registry = registry
        self._provider_tokens = provider_tokens
        self._endpoints = endpoints
        self._forget = forget
        self._tables: dict[str, FaultTable] = {
            name: gateway.faults for name, gateway in gateways.items()
        } | {"fcm-oauth": TOKEN_FAULTS, "wns-oauth": TOKEN_FAULTS}

    def application(self) -> web.Application:
        """The routes."""
        application = web.Application(middlewares=[_problems])
        application.add_routes(
            [
                web.get("/health", self._health),
                web.get("/endpoints", self._show_endpoints),
                web.get("/stats", self._stats),
                web.get("/ledger", self._page),
                web.get("/ledger/tokens", self._token_page),
                web.get("/script", self._rules),
                web.post("/script", self._add_rules),
                web.delete("/script", self._clear_rules),
                web.post("/storm", self._begin_storm),
                web.delete("/storm", self._end_storms),
                web.post("/credentials", self._register),
                web.post("/reset", self._reset),
            ]
        )
        return application

    def stats(self) -> dict[str, Any]:
        """All sums: by gateway, of the wire, of minting."""
        return {
            "truncated": self._ledger.truncated,
            **self._storms.as_json(),
            "provider_tokens": self._provider_tokens(),
            "oauth_fetches": {
                "fcm": self._registry.fcm_tokens.fetches,
                "wns": self._registry.wns_tokens.fetches,
            },
            "gateways": {
                name: self._ledger.sums(name).as_json() | {"wire": gateway.wire.as_json()}
                for name, gateway in self._gateways.items()
            },
        }

    def add_rules(self, document: Any) -> int:
        """Add one rule or a list of them; returns how many. All are checked before any is added.

        Raises:
            ControlError: naming what is wrong.
        """
        rules = [
            self._rule(item) for item in (document if isinstance(document, list) else [document])
        ]
        for rule in rules:
            self._script.add(rule)
        return len(rules)

    def begin_storm(self, document: Any) -> int:
        """Begin a storm; returns how many open connections it strikes.

        Raises:
            ControlError: naming what is wrong.
            StormError: the same.
        """
        _check_members("storm", document, STORM_FIELDS, whole=("every",))
        try:
            storm = Storm(**document)
        except TypeError as error:
            message = "a storm has gateway and storm; seconds and every are numbers"
            raise ControlError(message) from error
        return self._storms.begin(storm)

    def _rule(self, item: Any) -> Rule:
        _check_members("rule", item, RULE_FIELDS, whole=("n", "parameter"))
        table = self._tables.get(item.get("gateway", ""))
        if table is None:
            message = f"gateway must be one of {', '.join(self._tables)}"
            raise ControlError(message)
        if table.named(str(item.get("fault"))) is None:
            message = f"{item['gateway']} has no fault {item.get('fault')!r}"
            raise ControlError(message)
        try:
            return Rule(**item)
        except TypeError as error:
            message = "a rule has gateway, scope and fault; all its other members are numbers"
            raise ControlError(message) from error

    # Routes.

    async def _health(self, request: web.Request) -> web.Response:
        del request
        return _json({"status": "ok"})

    async def _show_endpoints(self, request: web.Request) -> web.Response:
        del request
        return _json(self._endpoints())

    async def _stats(self, request: web.Request) -> web.Response:
        del request
        return _json(self.stats())

    async def _page(self, request: web.Request) -> web.Response:
        gateway, token = request.query.get("gateway"), request.query.get("token")
        entries, following = self._ledger.page(
            gateway=gateway,
            token=token.lower() if token and gateway == "apns" else token,
            after=_number(request, "after", default=0, most=2**53),
            limit=_number(request, "limit", default=DEFAULT_PAGE, most=MAX_PAGE),
        )
        return _json({"entries": [entry.as_json() for entry in entries], "next": following})

    async def _token_page(self, request: web.Request) -> web.Response:
        summaries, following = self._ledger.token_page(
            gateway=request.query.get("gateway"),
            after=_number(request, "after", default=0, most=2**53),
            limit=_number(request, "limit", default=DEFAULT_PAGE, most=MAX_PAGE),
        )
        return _json({"entries": [one.as_json() for one in summaries], "next": following})

    async def _rules(self, request: web.Request) -> web.Response:
        del request
        return _json({"rules": self._script.rules()})

    async def _add_rules(self, request: web.Request) -> web.Response:
        return _json({"added": self.add_rules(await _document(request))})

    async def _clear_rules(self, request: web.Request) -> web.Response:
        del request
        self._script.clear()
        return _json({"rules": []})

    async def _begin_storm(self, request: web.Request) -> web.Response:
        return _json({"connections": self.begin_storm(await _document(request))})

    async def _end_storms(self, request: web.Request) -> web.Response:
        del request
        await self._storms.close()
        return _json({"status": "ok"})

    async def _register(self, request: web.Request) -> web.Response:
        document = await _document(request)
        if not isinstance(document, dict):
            message = "an object with apns, fcm, wns"
            raise ControlError(message)
        return _json({"registered": self._registry.register(document)})

    async def _reset(self, request: web.Request) -> web.Response:
        del request
        self._forget()
        return _json({"status": "ok"})


@web.middleware
async def _problems(
    request: web.Request, handler: Callable[[web.Request], Any]
) -> web.StreamResponse:
    """What a caller did wrong becomes 400 with a sentence."""
    try:
        response: web.StreamResponse = await handler(request)
    except (ControlError, ScriptError, StormError, RegistrationError) as error:
        return _json({"error": str(error)}, status=400)
    return response


def _check_members(kind: str, document: Any, known: set[str], *, whole: tuple[str, ...]) -> None:
    """Refuse what is no object, has members that are none of ours, or fractions."""
    if not isinstance(document, dict):
        message = f"a {kind} is an object"
        raise ControlError(message)
    unknown = set(document) - known
    if unknown:
        message = f"unknown members: {', '.join(sorted(unknown))}"
        raise ControlError(message)
    if not isinstance(document.get("gateway", ""), str):
        message = "gateway must be a name"
        raise ControlError(message)
    wrong = [name for name in whole if not isinstance(document.get(name, 1), int)]
    if wrong:
        message = f"{wrong[0]} must be a whole number"
        raise ControlError(message)


def _json(document: Any, *, status: int = 200) -> web.Response:
    return web.Response(status=status, body=orjson.dumps(document), content_type="application/json")


async def _document(request: web.Request) -> Any:
    try:
        return orjson.loads(await request.read())
    except orjson.JSONDecodeError as error:
        message = "the body is not JSON"
        raise ControlError(message) from error


def _number(request: web.Request, name: str, *, default: int, most: int) -> int:
    given = request.query.get(name, str(default))
    if not given.isdecimal() or not given.isascii() or int(given) > most:
        message = f"{name} must be a number of 0 to {most}"
        raise ControlError(message)
    return int(given)
