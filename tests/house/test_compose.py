"""docker-compose.yml and Dockerfile fit together and fit the package, as far as reading tells."""

import json
import re
import shlex
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from pushsvc.cli.root import COMMANDS, load_command
from pushsvc.config import PREFIX, Settings
from pushsvc.embedded.wheels import WHEELS

ROOT = Path(__file__).parents[2]

OURS = ("migrate", "api", "worker")
SERVERS = ("postgres", "redis")
HEALTHY = "service_healthy"
COMPLETED = "service_completed_successfully"


@pytest.fixture(scope="module")
def text() -> str:
    """docker-compose.yml as it is written."""
    return (ROOT / "docker-compose.yml").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def services(text: str) -> dict[str, Any]:
    """The services of docker-compose.yml, with its anchors resolved."""
    found: dict[str, Any] = yaml.safe_load(text)["services"]
    return found


@pytest.fixture(scope="module")
def steps() -> list[tuple[str, str]]:
    """The instructions of the Dockerfile, continued lines joined."""
    source = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    lines = re.sub(r"\\\n\s*", " ", source).splitlines()
    pairs = (line.partition(" ") for line in lines if line.strip() and not line.startswith("#"))
    return [(name, rest) for name, _, rest in pairs]


def of(steps: list[tuple[str, str]], name: str) -> list[str]:
    return [rest for step, rest in steps if step == name]


# docker-compose.yml


def test_the_services_are_those_of_the_manual(services: dict[str, Any]) -> None:
    """Two servers, one migration, the API and the worker."""
    assert {*SERVERS, *OURS} == set(services)


def test_every_service_that_stays_is_watched(
    services: dict[str, Any], steps: list[tuple[str, str]]
) -> None:
    """A health check of its own, or the image's for the API; the migration ends, and needs none."""
    for name in (*SERVERS, "worker"):
        assert services[name]["healthcheck"]["test"][0] in {"CMD", "CMD-SHELL"}, name
    assert "healthcheck" not in services["api"]
    assert len(of(steps, "HEALTHCHECK")) == 1
    assert services["migrate"]["healthcheck"] == {"disable": True}


def test_the_migration_waits_for_healthy_servers_and_runs_once(services: dict[str, Any]) -> None:
    """Else it would fail at the first start, or be repeated for ever."""
    awaited = {name: one["condition"] for name, one in services["migrate"]["depends_on"].items()}
    assert awaited == {"postgres": HEALTHY, "redis": HEALTHY}
    assert services["migrate"]["restart"] == "no"


@pytest.mark.parametrize("name", ["api", "worker"])
def test_the_service_waits_for_the_migration(services: dict[str, Any], name: str) -> None:
    """API and worker refuse a database that lacks a step."""
    awaited = {other: one["condition"] for other, one in services[name]["depends_on"].items()}
    assert awaited == {"postgres": HEALTHY, "redis": HEALTHY, "migrate": COMPLETED}
    assert services[name]["restart"] == "unless-stopped"


def test_only_the_api_has_a_port_and_only_here(services: dict[str, Any]) -> None:
    """Nobody reaches the servers from outside, nor the API but by a proxy on this machine."""
    ports = {name: one["ports"] for name, one in services.items() if "ports" in one}
    port = Settings.model_fields["port"].default
    assert {"api": [f"127.0.0.1:{port}:{port}"]} == ports


def test_nothing_starts_without_the_secrets(text: str) -> None:
    """Each use of a secret is one that compose refuses to leave empty."""
    used = re.findall(r"\$\{(\w+)(:\?)?", text)
    secret = [(name, mark) for name, mark in used if re.search(r"KEY|PASSWORD", name)]
    assert {"PUSHSVC_SECRET_KEY", "POSTGRES_PASSWORD"} == {name for name, _ in secret}
    assert all(mark for _, mark in secret)


def test_every_setting_is_known(services: dict[str, Any], steps: list[tuple[str, str]]) -> None:
    """A container with an unknown setting would refuse to start."""
    given = {name for one in services.values() for name in one.get("environment", {})}
    given |= {pair.partition("=")[0] for line in of(steps, "ENV") for pair in shlex.split(line)}
    ours = {name.removeprefix(PREFIX).lower() for name in given if name.startswith(PREFIX)}
    assert {"database_url", "redis_url", "secret_key", "host", "processes"} <= ours
    assert ours <= set(Settings.model_fields)


@pytest.mark.parametrize("name", OURS)
def test_every_command_exists(services: dict[str, Any], name: str) -> None:
    """The image's entry point is the command line, and what follows is one of its commands."""
    command, *arguments = services[name]["command"]
    assert command in COMMANDS
    assert load_command(command).make_context(command, arguments)


def test_the_health_check_of_the_worker_exists(services: dict[str, Any]) -> None:
    """It has no port, so it is looked at by a command."""
    how, program, command = services["worker"]["healthcheck"]["test"]
    assert (how, program) == ("CMD", "pushsvc")
    assert command in COMMANDS


@pytest.mark.parametrize("name", ["api", "worker"])
def test_there_is_time_to_drain(services: dict[str, Any], name: str) -> None:
    """Docker kills after the grace period, so it is longer than ours."""
    seconds = float(services[name]["stop_grace_period"].removesuffix("s"))
    assert seconds > Settings.model_fields["shutdown_seconds"].default


# Dockerfile


def test_what_is_copied_is_there_and_not_ignored(steps: list[tuple[str, str]]) -> None:
    """Each source of a COPY exists, and .dockerignore lets it through."""
    ignore = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    copies = [shlex.split(line)[:-1] for line in of(steps, "COPY") if "--from" not in line]
    sources = [source for line in copies for source in line]
    assert {"pyproject.toml", "requirements.lock", "migrations", "pushsvc"} == set(sources)
    assert [source for source in sources if not (ROOT / source).exists()] == []
    assert "*" in ignore
    assert [source for source in sources if f"!{source}" not in ignore] == []


def test_it_is_built_in_one_stage_and_runs_in_another(steps: list[tuple[str, str]]) -> None:
    """What builds stays behind; both stages are one Python, which the package takes."""
    first, last = of(steps, "FROM")
    assert first == f"{last} AS build"
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    found = re.fullmatch(r"python:3\.(\d+)-slim", last)
    least = re.fullmatch(r">=3\.(\d+)", project["requires-python"])
    assert found
    assert least
    assert int(found[1]) >= int(least[1])


def test_it_does_not_run_as_root(steps: list[tuple[str, str]]) -> None:
    """The last word on the user is an ordinary account, which the image makes."""
    user = of(steps, "USER")[-1]
    assert user not in {"root", "0"}
    assert any(
        line.startswith("useradd") and line.endswith(f" {user}") for line in of(steps, "RUN")
    )


def test_packages_come_by_the_lock(steps: list[tuple[str, str]]) -> None:
    """What is fetched is checked by hash, and nothing else is installed."""
    fetch, install = (line for line in of(steps, "RUN") if "pip " in line)
    assert "--require-hashes" in fetch
    assert "--no-index --find-links /wheels" in install


def test_the_packages_left_out_are_dependencies_of_ours(steps: list[tuple[str, str]]) -> None:
    """The image takes out every embedded server by name: from pyproject.toml and from the lock."""
    left_out = {match for line in of(steps, "RUN") for match in re.findall(r"\(([\w|-]+)\)", line)}
    (names,) = (match.split("|") for match in left_out)
    assert set(names) == {wheel.distribution for known in WHEELS.values() for wheel in known}
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    assert [name for name in names if f'"{name}>=' not in project] == []
    assert [name for name in names if f"\n{name}==" not in lock] == []


def test_it_starts_the_api_on_the_port_it_is_asked_on(steps: list[tuple[str, str]]) -> None:
    """Entry point, command, port and health check are of one mind."""
    port = Settings.model_fields["port"].default
    assert of(steps, "EXPOSE") == [str(port)]
    assert json.loads(of(steps, "ENTRYPOINT")[0]) == ["pushsvc"]
    assert json.loads(of(steps, "CMD")[0])[0] in COMMANDS
    check = json.loads(of(steps, "HEALTHCHECK")[0].partition("CMD ")[2])
    assert f"http://127.0.0.1:{port}/readyz" in check[-1]
    compile(check[-1], "HEALTHCHECK", "exec")
