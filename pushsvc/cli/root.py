"""The table of commands, and the one place where a command's end becomes an exit status."""

import importlib
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Final, NoReturn

import typer
from typer.core import TyperCommand, TyperGroup
from typer.exceptions import TyperException

import pushsvc
from pushsvc.cli import failures, output

#: name -> what it does. `pushsvc.cli.<name>` has the command as `app`, and is imported when it is
#: run: `pushsvc --help` need not wait for the database driver.
COMMANDS: Final[Mapping[str, str]] = {
    "up": "Run everything: the API, the workers and, where none is configured, the servers.",
    "serve": "Run the API.",
    "worker": "Run workers, which plan pushes and send their messages.",
    "migrate": "Bring the database to this version's level, or show where it is.",
    "app": "Create, list and show apps, and change their settings.",
    "key": "Create, list and revoke the keys of an app.",
    "credential": "Add, list and revoke what APNs, FCM and WNS want to see.",
    "installation": "Import installations.",
    "token": "See what happened to tokens, and undo it.",
    "template": "Store, list, show and delete templates, which pushes can name.",
    "send": "Send a push.",
    "shape": "Show what a gateway would be sent of a push, without any server.",
    "push": "List pushes and see what came of them.",
    "campaign": "Pushes that are sent by rules: again and again, in local time, to variants.",
    "demo": "One push to 10,000 devices against strict simulators of the gateways.",
    "simulate": "Run the simulators of the gateways on their own.",
    "doctor": "Check servers, migrations, credentials and clocks, and say what to do.",
}


class Commands(TyperGroup):
    """Lists the table; loads a command when it is called."""

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        """Find the command by the table, with typer's "did you mean", then load it."""
        name, listed, rest = super().resolve_command(ctx, args)
        return name, listed and load_command(listed.name or ""), rest


def load_command(name: str) -> Any:
    """Import a command of the table."""
    module = importlib.import_module(f"pushsvc.cli.{name}")
    command = typer.main.get_command(module.app)
    command.name = name
    command.help = command.help or COMMANDS[name]
    return command


def main() -> NoReturn:
    """Run the command that `sys.argv` names."""
    # So that what a command began is also ended in order when it is told to terminate.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """Run a command; return its exit status: 0, 1 for a failure, 2 for a mistake."""
    try:
        result = root().main(list(arguments), prog_name="pushsvc", standalone_mode=False)
    except TyperException as error:
        return _tell(arguments, _usage(error))
    except Exception as error:
        known = failures.describe(error)
        if known is None:
            raise
        return _tell(arguments, known)
    return result if isinstance(result, int) else 0


def root() -> Any:
    """Return the `pushsvc` command with its table."""
    app = typer.Typer(cls=Commands, no_args_is_help=True, pretty_exceptions_enable=False)
    app.callback()(options)
    command = typer.main.get_command(app)
    assert isinstance(command, Commands)
    for name, sentence in COMMANDS.items():
        command.add_command(TyperCommand(name=name, help=sentence))
    return command


def show_version(value: bool) -> None:  # noqa: FBT001 - typer's signature
    """Print the version and end, if asked to."""
    if value:
        output.plain(f"pushsvc {pushsvc.__version__}")
        raise typer.Exit


def options(
    *,
    config: Annotated[
        Path | None,
        typer.Option("--config", help="The settings file, instead of PUSHSVC_CONFIG's."),
    ] = None,
    version: Annotated[  # noqa: ARG001 - typer calls `show_version` with it
        bool,
        typer.Option("--version", help="Show the version.", callback=show_version, is_eager=True),
    ] = False,
) -> None:
    """Deliver push notifications through APNs, FCM and WNS."""
    if config is not None:
        os.environ["PUSHSVC_CONFIG"] = str(config)


def _usage(error: TyperException) -> failures.CommandError:
    """Return typer's complaint with the help as the remedy; nothing where it was just shown."""
    told = error.format_message()
    context = getattr(error, "ctx", None)
    if told and context is not None:
        told += f" Try `{context.command_path} --help`."
    return failures.CommandError(told, code="usage", status=failures.MISTAKE)


def _tell(arguments: Sequence[str], error: failures.CommandError) -> int:
    if "--json" in arguments:
        output.json_line({"error": error.as_json()})
    # A child's parent repeats what the child says.
    if str(error) and "--lifeline" not in arguments:
        output.complain(str(error))
    return error.status
