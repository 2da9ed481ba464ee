"""Which options a case of `make bench` takes."""

import pytest
import typer
from typer.testing import CliRunner

from bench.__main__ import Case, check_options, main

WITHOUT_DEVICES = {Case.SCHEDULE, Case.SINGLES}


@pytest.mark.parametrize(
    ("case", "given"),
    [
        (Case.BROADCAST, ["case", "devices", "badge", "as_json"]),
        (Case.BROADCAST, ["devices", "platform", "locales", "templates", "processes"]),
        (Case.BROADCAST, ["case", "matrix", "processes"]),
        (Case.MIXED, ["case", "devices", "rate", "processes", "as_json"]),
        (Case.SINGLES, ["case", "rate", "seconds", "processes"]),
        (Case.SCHEDULE, ["case", "as_json", "kill", "pushes", "seconds"]),
        *((case, ["case", "devices", "as_json"]) for case in Case if case not in WITHOUT_DEVICES),
    ],
)
def test_what_fits_a_case_is_taken(case: Case, given: list[str]) -> None:
    """As the documents write it."""
    check_options(case, given)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("--case singles --devices 5", ("--devices", "--case singles", "broadcast")),
        ("--case ingest --rate 5", ("--rate", "--case ingest", "mixed, singles")),
        ("--case plan --processes 2", ("--processes", "--case plan", "broadcast")),
        ("--case mixed --no-kill", ("--kill", "--case mixed", "schedule")),
        ("--matrix --devices 10", ("--devices", "--matrix", "its own")),
    ],
)
def test_what_does_not_fit_is_refused(line: str, said: tuple[str, ...]) -> None:
    """It would be a run of something else than was asked for: 2, the option, and where it fits."""
    app = typer.Typer()
    app.command()(main)
    result = CliRunner().invoke(app, line.split())

    text = " ".join(result.output.replace("│", " ").split())
    assert result.exit_code == 2
    assert all(part in text for part in said), text
