"""`make bench-wire`: our wire beside other HTTP/2 clients, in turns against the same nginx.

Each client is one process that sends its own number of requests on one connection over TLS. CPU
is the client's own. Ratios are of medians over the rounds; the machine is shared, so only ratios
of one run mean anything.
"""

import json
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from bench.audience import new_p8
from bench.peers import h2load
from bench.peers.task import APNS, FCM, RUN_SECONDS, Task
from bench.sink import Sink, find_nginx, running

#: nginx echoes the apns-id as APNs does, and answers for FCM with a body of 200 bytes.
LOCATIONS = """
    location = / {{ return 204; }}
    location /3/ {{ add_header apns-id $http_apns_id; return 200; }}
    location /v1/ {{ default_type application/json; return 200 '%s'; }}
"""
_NAME = '{"name":"projects/bench/messages/0:1732579200000000%f00d"'
FCM_ANSWER = f'{_NAME},"padding":"'.ljust(198, "x") + '"}'

APNS_BODY = (
    '{"aps":{"alert":"The Giants won against the Mets 2-3.","badge":1,"sound":"cheering.caf" }}'
)
FCM_BODY = (
    '{"message":{"token":"bk3RNwTe3H0:CI2k_HHwgIpoDKCIZvvDMExUdFQ3P1","data":{"push_id":"x"}}}'
)
#: As long as a real provider token, and of the same letters.
JWT = "eyJhbGciOiJFUzI1NiIsImtpZCI6IkJFTkNIS0VZMDEifQ." + "eyJpc3MiOiJCRU5DSFRFQU0x" * 6
CONSTANT = {
    APNS: {
        "authorization": f"bearer {JWT}",
        "apns-topic": "com.example.app",
        "apns-push-type": "alert",
        "apns-priority": "10",
    },
    FCM: {"authorization": f"Bearer {JWT}", "content-type": "application/json"},
}


@dataclass(frozen=True, slots=True)
class Client:
    """How a client is run, and what part of the requests it can do in reasonable time."""

    name: str
    run: Callable[[Task, Path], dict[str, float]]
    share: float = 1.0
    cases: tuple[str, ...] = (APNS, FCM)


def run_by(*command: str) -> Callable[[Task, Path], dict[str, float]]:
    """Return how to run a client that reads its task and prints its result."""

    def run(task: Task, _directory: Path) -> dict[str, float]:
        done = subprocess.run(  # noqa: S603 - our own command lines
            command, input=task.write(), capture_output=True, text=True, timeout=RUN_SECONDS,
            check=False,
        )  # fmt: skip
        if done.returncode:
            message = f"{' '.join(command)} ended with {done.returncode}: {done.stderr[-800:]}"
            raise RuntimeError(message)
        result: dict[str, float] = json.loads(done.stdout)
        return result

    return run


def clients() -> Iterator[Client]:
    """Yield the clients that this machine has, ours first."""

    def python(name: str) -> Callable[[Task, Path], dict[str, float]]:
        return run_by(sys.executable, "-m", f"bench.peers.{name}")

    yield Client("ours", python("wire"))
    yield Client("aioapns", python("stock_aioapns"), 0.1, (APNS,))
    yield Client("pyreqwest", python("reqwest"), 0.5)
    yield Client("pycurl", python("curl"), 0.5)
    if node := shutil.which("node"):
        yield Client("node", run_by(node, str(Path(__file__).parent / "peers/node_http2.mjs")))
    if program := shutil.which("h2load"):
        yield Client("h2load", lambda task, directory: h2load.run(program, task, directory))


def measure(
    sink: Sink, case: str, requests: int, *, rounds: int, progress: Progress
) -> dict[str, Any]:
    """Run every client of a case in turns; return the figures and ratios.

    Raises:
        RuntimeError: a client failed, or did not get all its answers.
    """
    able = [client for client in clients() if case in client.cases]
    results: dict[str, list[dict[str, float]]] = {client.name: [] for client in able}
    bar = progress.add_task(case, total=rounds * len(able))
    (sink.directory / "key.p8").write_text(new_p8())
    for _ in range(rounds):
        for client in able:
            progress.update(bar, description=f"{case} {client.name}")
            task = Task(
                case=case,
                port=int(sink.url.rpartition(":")[2]),
                ca_file=str(sink.ca_file),
                requests=max(1, round(requests * client.share)),
                body=APNS_BODY if case == APNS else FCM_BODY,
                headers=CONSTANT[case],
                key_file=str(sink.directory / "key.p8"),
            )
            result = client.run(task, sink.directory)
            if result["good"] != task.requests:
                message = f"{client.name}: {result['good']} good answers to {task.requests}"
                raise RuntimeError(message)
            results[client.name].append(result)
            progress.advance(bar)
    return with_ratios({name: figures(of_one) for name, of_one in results.items()})


def figures(results: list[dict[str, float]]) -> dict[str, float]:
    """Return the medians of one client's rounds."""
    rate = statistics.median(r["good"] / r["seconds"] for r in results)
    cpu = statistics.median(r["cpu_seconds"] / r["good"] * 1e6 for r in results)
    return {"requests_per_second": round(rate), "cpu_us": round(cpu, 2)}


def with_ratios(found: dict[str, dict[str, float]]) -> dict[str, Any]:
    """Return the figures with ours as a ratio to others.

    To aioapns by requests in a second; to the others by requests in a second of the client's CPU.
    """
    ours, ratios = found["ours"], {}
    if "aioapns" in found:
        rate = ours["requests_per_second"] / found["aioapns"]["requests_per_second"]
        ratios["ratio_to_aioapns"] = round(rate, 1)
    for name in ("pycurl", "pyreqwest", "node", "h2load"):
        if name in found:
            ratios[f"ratio_to_{name}"] = round(found[name]["cpu_us"] / ours["cpu_us"], 2)
    return {"clients": found, **ratios}


def table(case: str, measured: dict[str, Any]) -> Table:
    """Return the figures for people."""
    rows = Table("client", "requests/s", "CPU us", "ours by CPU", title=f"{case}-like requests")
    ours = measured["clients"]["ours"]["cpu_us"]
    for name, of_one in measured["clients"].items():
        rate, cpu = of_one["requests_per_second"], of_one["cpu_us"]
        rows.add_row(name, f"{rate:,}", f"{cpu:.1f}", f"{cpu / ours:.2f}x")
    return rows


def main(
    *,
    requests: Annotated[int, typer.Option(min=100, help="Requests of a fast client.")] = 200_000,
    rounds: Annotated[int, typer.Option(min=1, help="How often each client runs.")] = 3,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object, no table.")] = False,
) -> None:
    """Measure the wire against other clients."""
    if find_nginx() is None or shutil.which("h2load") is None:
        typer.echo("needs nginx and h2load: apt-get install nginx nghttp2-client", err=True)
        raise typer.Exit(2)
    # Ends as Ctrl-C does: nothing is left behind.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with (
        tempfile.TemporaryDirectory(prefix="pushsvc-bench-") as name,
        running(Path(name), LOCATIONS % FCM_ANSWER.replace("{", "{{").replace("}", "}}")) as sink,
        Progress(console=Console(stderr=True)) as progress,
    ):
        by_case = {
            case: measure(sink, case, requests, rounds=rounds, progress=progress)
            for case in (APNS, FCM)
        }
    if not as_json:
        for case, measured in by_case.items():
            Console().print(table(case, measured))
    print(json.dumps({"case": APNS, **by_case[APNS], "fcm": by_case[FCM]}))  # noqa: T201 - the result


if __name__ == "__main__":
    typer.run(main)
