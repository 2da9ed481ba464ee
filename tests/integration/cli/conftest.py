"""The command line, on the run's servers: in this process, or as people run it."""

import json
import logging
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from pushsvc.cli import root
from pushsvc.cli.session import environment
from pushsvc.config import Settings

#: What takes longer hangs.
DEADLINE_SECONDS = 60.0


@dataclass(frozen=True, kw_only=True)
class Ended:
    """A command that has ended."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The object on the last line of stdout."""
        return json.loads(self.out.splitlines()[-1])

    @property
    def error(self) -> Any:
        """The error on the last line of stdout."""
        return self.json["error"]


Pushsvc = Callable[..., Ended]


@pytest.fixture
def variables(settings: Settings) -> dict[str, str]:
    """The environment in which commands work on the run's servers."""
    return environment(settings)


@pytest.fixture
def pushsvc(
    variables: Mapping[str, str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Iterator[Pushsvc]:
    """Run a command in this process; keywords are environment variables."""
    handlers = logging.getLogger().handlers[:]

    def run(*arguments: str, **changes: str) -> Ended:
        for name, value in {**variables, **changes}.items():
            monkeypatch.setenv(name, value)
        capsys.readouterr()
        status = root.run(arguments)
        told = capsys.readouterr()
        return Ended(status=status, out=told.out, err=told.err)

    yield run
    logging.getLogger().handlers[:] = handlers


@contextmanager
def running(
    arguments: Sequence[str], variables: Mapping[str, str], *, keeps: Sequence[int] = ()
) -> Iterator[tuple[subprocess.Popen[str], dict[str, Any]]]:
    """A process that goes on running, and what it said when it was ready."""
    with subprocess.Popen(
        [sys.executable, "-m", "pushsvc", *arguments, "--json"],
        env=variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        pass_fds=keeps,
    ) as process:
        try:
            assert process.stdout is not None
            yield process, json.loads(process.stdout.readline())
        finally:
            process.kill()


def end_of(process: subprocess.Popen[str]) -> Ended:
    """Wait for the end of a process."""
    out, err = process.communicate(timeout=DEADLINE_SECONDS)
    return Ended(status=process.returncode, out=out, err=err)
