"""`pushsvc simulate`: the gateways' simulators on their own, and how to send to them."""

import asyncio
import errno
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from pushsvc import embedded
from pushsvc.cli import running, session
from pushsvc.cli.failures import MISTAKE, CommandError
from pushsvc.cli.options import Json, Lifeline
from pushsvc.cli.output import json_line, plain
from pushsvc.simulators import Endpoints, KnobError, Knobs, serve, turn

#: Ours by default, so that senders set up once go on working after a restart.
MOST_PORT: Final = 65_535
APNS_PORT, FCM_PORT, WNS_PORT, CONTROL_PORT = 8431, 8432, 8433, 8434

#: setting -> what of the endpoints it is
GATEWAY_SETTINGS: Final[Mapping[str, str]] = {
    "gateway_ca_file": "ca_file",
    "apns_url": "apns_url",
    "apns_sandbox_url": "apns_url",
    "fcm_url": "fcm_url",
    "wns_token_url": "wns_token_url",
    "wns_entra_url": "wns_entra_url",
    "wns_connect_to": "wns_address",
}

app = typer.Typer(add_completion=False)


@app.command()
def simulate(
    *,
    directory: Annotated[
        Path | None,
        typer.Option(help="For certificates and credentials; default: in the data directory."),
    ] = None,
    apns_port: Annotated[
        int, typer.Option(min=0, max=MOST_PORT, help="Port of APNs; 0 for any.")
    ] = APNS_PORT,
    fcm_port: Annotated[
        int, typer.Option(min=0, max=MOST_PORT, help="Port of FCM; 0 for any.")
    ] = FCM_PORT,
    wns_port: Annotated[
        int, typer.Option(min=0, max=MOST_PORT, help="Port of WNS; 0 for any.")
    ] = WNS_PORT,
    control_port: Annotated[
        int, typer.Option(min=0, max=MOST_PORT, help="Port of the control endpoint; 0 for any.")
    ] = CONTROL_PORT,
    ledger_file: Annotated[
        Path | None,
        typer.Option(help="Appended to, a line for each delivery; what is there survives a kill."),
    ] = None,
    knob: Annotated[
        list[str] | None,
        typer.Option(help="NAME=VALUE, a limit or a speed; docs/simulators.md. May be repeated."),
    ] = None,
    seed: Annotated[int, typer.Option(help="Makes faults by chance repeatable.")] = 0,
    as_json: Json = False,
    lifeline: Lifeline = None,
) -> None:
    """Run strict simulators of APNs, FCM and WNS until told to stop."""
    read = session.settings()
    knobs = _knobs(knob or [])
    home = read.data_dir or embedded.default_data_directory()

    def ready(endpoints: Endpoints) -> None:
        told = endpoints.as_json()
        if as_json:
            json_line(told)
        else:
            plain(_manual(told))

    async def work(stop: asyncio.Event) -> None:
        await serve(
            directory or home / "simulators",
            stop=stop,
            on_ready=ready,
            apns_port=apns_port,
            fcm_port=fcm_port,
            wns_port=wns_port,
            control_port=control_port,
            ledger_file=ledger_file,
            seed=seed,
            knobs=knobs,
        )

    try:
        running.until_stopped(work, lifeline=lifeline)
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise
        ports = f"{apns_port}, {fcm_port}, {wns_port} or {control_port}"
        message = f"Port {ports} is taken. Name others with --apns-port and the like, or 0 for any."
        raise CommandError(message, code="port_taken", field="--apns-port") from error


def gateway_settings(endpoints: Mapping[str, Any]) -> dict[str, str]:
    """Return the settings that make pushsvc send to these simulators."""
    return {setting: endpoints[name] for setting, name in GATEWAY_SETTINGS.items()}


def _knobs(settings: list[str]) -> Knobs:
    try:
        return turn(settings)
    except KnobError as error:
        raise CommandError(str(error), code="usage", status=MISTAKE, field="--knob") from error


def _manual(endpoints: Mapping[str, Any]) -> str:
    """Return what to set, and what to run, to send to these simulators."""
    settings = "\n".join(
        f"  export PUSHSVC_{name.upper()}={shlex.quote(value)}"
        for name, value in gateway_settings(endpoints).items()
    )
    apns, fcm, wns = (endpoints["credentials"][name] for name in ("apns", "fcm", "wns"))
    topics = " ".join(f"--topic {topic}" for topic in apns["topics"])
    return f"""\
Simulators of APNs, FCM and WNS are listening. Ledger: {endpoints["control_url"]}/stats

Send to them with these settings:

{settings}

and with these credentials, where APP is the name of your app:

  pushsvc credential add apns --app APP --p8 {shlex.quote(apns["p8_file"])} \\
    --key-id {apns["key_id"]} --team-id {apns["team_id"]} {topics}
  pushsvc credential add fcm --app APP --service-account {shlex.quote(fcm["file"])}
  printf %s {shlex.quote(wns["client_secret"])} | pushsvc credential add wns --app APP \\
    --package-sid {shlex.quote(wns["package_sid"])} --secret-file -
"""
