"""Options that several commands have."""

from typing import Annotated

import typer

from pushsvc.cli.failures import MISTAKE, CommandError

#: The ids of rows are Postgres's bigint.
MOST_ID = 2**63 - 1

AppName = Annotated[str, typer.Option("--app", help="Name or application id of the app.")]
Host = Annotated[str | None, typer.Option(help="Address to listen on, instead of PUSHSVC_HOST.")]
Port = Annotated[int | None, typer.Option(help="Port, instead of PUSHSVC_PORT; 0 for any.")]
Processes = Annotated[
    int | None, typer.Option(help="Worker processes, instead of PUSHSVC_PROCESSES.")
]
PushId = Annotated[str, typer.Argument(help="The push's id, from `send` or `push list`.")]
CampaignName = Annotated[str, typer.Argument(metavar="NAME", help="The campaign's name or id.")]
ConfirmRecipients = Annotated[
    int | None,
    typer.Option(min=1, help="Go ahead with an audience of up to so many, past max_recipients."),
]
Json = Annotated[
    bool, typer.Option("--json", help="Print one JSON object as the last line of stdout.")
]
#: By which a parent of ours tells its child the descriptor of its lifeline.
Lifeline = Annotated[int | None, typer.Option("--lifeline", hidden=True)]


def refuse_unsendable(option: str, value: str | None) -> None:
    """Refuse an id or a key that no header could carry.

    Raises:
        CommandError: names the option.
    """
    if value is None or (value and all("!" <= character <= "~" for character in value)):
        return
    message = f"{option}: must be visible ASCII without spaces, as it is sent in a header."
    raise CommandError(message, code="usage", status=MISTAKE, field=option)
