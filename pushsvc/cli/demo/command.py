"""The demo from curtain to curtain."""

import asyncio
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Annotated, Any, Final

import aiohttp
import typer

from pushsvc import embedded
from pushsvc.cli import running, service, session
from pushsvc.cli.demo import report, sending, stage
from pushsvc.cli.demo.compare import Comparison
from pushsvc.cli.demo.report import Addresses
from pushsvc.cli.demo.sending import Api, Sent
from pushsvc.cli.demo.stage import Cast, Place
from pushsvc.cli.display import progress, result
from pushsvc.cli.failures import CommandError
from pushsvc.cli.options import Json, Processes
from pushsvc.cli.output import plain
from pushsvc.cli.processes import Children, Recipe, StoppedError
from pushsvc.cli.simulate import gateway_settings
from pushsvc.config import Settings
from pushsvc.resources import Resources, located, open_resources
from pushsvc.storage import ledger

#: What shells report of a program that SIGINT ended.
INTERRUPTED: Final = 130
#: The simulators keep so many tokens apart.
MOST_DEVICES: Final = 1_000_000
#: A push that takes longer than this hangs: the slowest faults take some ten seconds, and the
#: simulators thousands of messages a second.
PATIENCE_SECONDS: Final = 120.0
PATIENCE_PER_DEVICE_SECONDS: Final = 0.01

app = typer.Typer(add_completion=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What was asked for."""

    devices: int
    seed: int
    keep: bool
    as_json: bool


@app.command()
def demo(
    *,
    devices: Annotated[
        int, typer.Option(min=1, max=MOST_DEVICES, help="How many installations.")
    ] = 10_000,
    seed: Annotated[int, typer.Option(help="Another seed makes other installations.")] = 0,
    processes: Processes = None,
    keep: Annotated[
        bool, typer.Option("--keep", help="Leave everything running until Ctrl-C.")
    ] = False,
    as_json: Json = False,
) -> int:
    """Send one push to 10,000 devices by way of strict simulators, and compare the ledgers.

    Runs on servers of its own; what is configured is not touched. Exits with 0 only if every
    device's outcome is what its gateway saw.
    """
    read = session.settings(processes=processes)
    home = read.data_dir or embedded.default_data_directory()
    wish = Wish(devices=devices, seed=seed, keep=keep, as_json=as_json)
    try:
        with stage.take(home) as place, located(stage.settings(read, place)) as found:
            return asyncio.run(_perform(found, place, wish))
    except StoppedError:
        return INTERRUPTED


async def _perform(found: Settings, place: Place, wish: Wish) -> int:
    stop = asyncio.Event()
    running.stop_on_signals(stop)
    async with (
        open_resources(found) as resources,
        aiohttp.ClientSession() as http,
        Children(stop=stop, drain_seconds=found.shutdown_seconds) as children,
    ):
        play = Play(resources=resources, http=http, children=children, place=place, wish=wish)
        try:
            return await play.perform()
        except CommandError as error:
            message = f"{error} The logs are in {place.directory}."
            raise CommandError(message, code=error.code) from error


@dataclass(frozen=True, slots=True, kw_only=True)
class Play:
    """One demo: its acts in order, each with what it needs of those before."""

    resources: Resources
    http: aiohttp.ClientSession
    children: Children
    place: Place
    wish: Wish

    async def perform(self) -> int:
        """Do it all; return the exit status."""
        self._say(f"PostgreSQL and Redis run in {self.place.directory}.")
        cast = await self._set_up()
        endpoints = await self._open_gateways()
        await stage.equip(self.resources, cast, endpoints["credentials"])
        url = await self._open_service(endpoints)
        addresses = Addresses(url=url, control_url=endpoints["control_url"])
        sent = await self._send(Api(self.http, url, cast))
        comparison = await self._compare(sent, addresses)
        matches = comparison.finish(sent.push, wished=self.wish.devices)
        self._tell(sent, comparison, matches=matches, living=report.living(addresses, cast))
        if self.wish.keep:
            self._say(report.manual(addresses, cast, sent.push["id"]))
            ended = await self.children.first_end()
            if ended is not None:
                raise ended.failure
        return int(not matches)

    async def _set_up(self) -> Cast:
        await self.children.during(stage.clear(self.resources))
        bar = progress(as_json=self.wish.as_json)
        return await self.children.during(
            stage.populate(self.resources, self.wish.devices, seed=self.wish.seed, bar=bar)
        )

    async def _open_gateways(self) -> dict[str, Any]:
        """Start the simulators; return where they listen."""
        any_port = [f"--{name}-port=0" for name in ("apns", "fcm", "wns", "control")]
        directory = self.place.directory / "simulators"
        recipe = Recipe(
            name="simulators",
            arguments=("simulate", "--directory", str(directory), *any_port),
            environment=session.environment(self._own),
        )
        [endpoints] = await self._start(recipe)
        self._say(f"APNs, FCM and WNS are simulated; their ledger: {endpoints['control_url']}.")
        return endpoints

    async def _open_service(self, endpoints: Mapping[str, Any]) -> str:
        """Start the API and the workers; return where the API listens."""
        own = self._own.model_copy(update=gateway_settings(endpoints))
        api, *_ = await self._start(*service.recipes(own))
        self._say(f"The API listens on {api['url']}, with {own.processes} worker process(es).")
        return str(api["url"])

    async def _send(self, api: Api) -> Sent:
        patience = PATIENCE_SECONDS + PATIENCE_PER_DEVICE_SECONDS * self.wish.devices
        bar = progress(as_json=self.wish.as_json)
        return await self.children.during(sending.send(api, bar), seconds=patience)

    async def _compare(self, sent: Sent, addresses: Addresses) -> Comparison:
        theirs = await sending.seen_by_gateways(self.http, addresses.control_url)
        comparison = Comparison(theirs=theirs)
        async with self.resources.engine.connect() as connection:
            key = await ledger.push_key(connection, sent.push["id"])
        assert key is not None
        async for lines in ledger.lines(self.resources.engine, key):
            comparison.take(lines)
        return comparison

    def _tell(
        self, sent: Sent, comparison: Comparison, *, matches: bool, living: Mapping[str, str]
    ) -> None:
        value = report.as_json(sent, comparison, matches=matches)
        if self.wish.keep:
            value |= living
        shown = report.shown(sent, comparison, matches=matches)
        result(value, *shown, as_json=self.wish.as_json)

    def _say(self, told: str) -> None:
        if not self.wish.as_json:
            plain(told)

    @property
    def _own(self) -> Settings:
        """The settings of the demo's processes, which join its servers by themselves."""
        return stage.settings(self.resources.settings, self.place)

    async def _start(self, *given: Recipe) -> list[dict[str, Any]]:
        """Start processes that hold the place and write logs in it."""
        with ExitStack() as stack:
            started = [
                replace(
                    recipe,
                    log=stack.enter_context(self.place.log(recipe.name).open("wb")),
                    keeps=(self.place.lock,),
                )
                for recipe in given
            ]
            return await self.children.start(*started)
