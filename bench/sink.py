"""A gateway that accepts everything: nginx where the system has it, else Granian.

It keeps the path of every request, so that a run can show that each device got one message.
"""

import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pushsvc.simulators.authority import Authority, open_authority
from pushsvc.simulators.credentials import PROJECT_ID

START_SECONDS = 20
STOP_SECONDS = 10
POLL_SECONDS = 0.05
#: Where either sink writes the paths it was asked for, one a line.
PATHS_FILE = "paths.log"

NGINX_CONF = """
daemon off; worker_processes 1; pid {dir}/nginx.pid; error_log {dir}/error.log crit;
events {{ worker_connections 1024; }}
http {{
  access_log off;
  log_format path '$uri';
  log_format timed '$msec $uri';
  client_body_temp_path {dir}/body; proxy_temp_path {dir}/proxy; fastcgi_temp_path {dir}/fcgi;
  uwsgi_temp_path {dir}/uwsgi; scgi_temp_path {dir}/scgi;
  keepalive_requests 1000000000; http2_max_concurrent_streams 1000;
  server {{
    listen 127.0.0.1:{port} ssl http2; server_name localhost;
    ssl_certificate {cert}; ssl_certificate_key {cert}; ssl_protocols TLSv1.2 TLSv1.3;
    {locations}
  }}
}}
"""


#: And the moments of those for tokens that begin so, which are none of the crowd.
TIMES_FILE = "times.log"
TIMED = "feedfeed"

#: What FCM answers, and where a Google service account gets its access token, which is as long as
#: a real one.
FCM_NAME = '{"name":"projects/bench/messages/0:1732579200000000%f00d"}'
TOKEN_PATH = "/token"  # noqa: S105 - a path
ACCESS_TOKEN = "ya29." + "a" * 210
TOKEN_ANSWER = f'{{"access_token":"{ACCESS_TOKEN}","expires_in":3599,"token_type":"Bearer"}}'

#: Says yes, and writes down the path.
ACCEPT_ALL = """
location / {{ access_log {dir}/{paths} path buffer=256k flush=1s; return 200; }}
location /3/device/feedfeed {{ access_log {dir}/times.log timed buffer=256k flush=1s; return 200; }}
location /v1/ {{
  access_log {dir}/{paths} path buffer=256k flush=1s;
  default_type application/json; return 200 '{name}';
}}
location = {token_path} {{ default_type application/json; return 200 '{token}'; }}
"""
#: The beginning of the paths of a run's messages; those of others, h2load's say, do not count.
APNS_PATHS, FCM_PATHS = "/3/device/", f"/v1/projects/{PROJECT_ID}/"


@dataclass(frozen=True, slots=True)
class Seen:
    """What the sink got: requests, and how many different devices they were for.

    A request to FCM has its device in the body, which no sink reads: it is `unnamed`.
    """

    requests: int
    devices: int
    unnamed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Sink:
    """A running sink; `process` is its master."""

    name: str
    url: str
    ca_file: Path
    process: "subprocess.Popen[bytes]"
    directory: Path

    def stop(self) -> Seen:
        """Stop it, which flushes what it wrote down, and read that."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGQUIT if self.name == "nginx" else signal.SIGTERM)
            try:
                self.process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        file = self.directory / PATHS_FILE
        lines = file.read_text().splitlines() if file.exists() else []
        paths = [line for line in lines if line.startswith(APNS_PATHS)]
        unnamed = sum(line.startswith(FCM_PATHS) for line in lines)
        return Seen(requests=len(paths), devices=len(set(paths)), unnamed=unnamed)

    def moments(self) -> dict[str, float]:
        """Return token -> when it had the message, of those that are timed; it has stopped."""
        return dict(self.received())

    def received(self) -> list[tuple[str, float]]:
        """Return the tokens of messages that are timed, and when each came; it has stopped."""
        lines = (self.directory / TIMES_FILE).read_text().splitlines()
        found = (line.split(" ") for line in lines)
        return [(path.rpartition("/")[2], float(moment)) for moment, path in found]


@contextmanager
def running(directory: Path, locations: str = ACCEPT_ALL) -> Iterator[Sink]:
    """Start the sink on a free port, and stop it at the end; `locations` are nginx's."""
    authority, port = open_authority(directory), free_port()
    nginx = find_nginx()
    conf = NGINX_CONF.format(
        dir=directory,
        port=port,
        cert=authority.chain_file,
        locations=locations.format(
            dir=directory,
            paths=PATHS_FILE,
            name=FCM_NAME,
            token_path=TOKEN_PATH,
            token=TOKEN_ANSWER,
        ),
    )
    start = _nginx(nginx, directory, conf) if nginx else _granian(authority, port)
    with (directory / "sink.log").open("wb") as log:
        process = subprocess.Popen(  # noqa: S603 - our own command line
            start,
            stdout=log,
            stderr=log,
            env=os.environ
            | {
                "SINK_PATHS": str(directory / PATHS_FILE),
                "SINK_TIMES": str(directory / TIMES_FILE),
            },
        )
    sink = Sink(
        name="nginx" if nginx else "granian",
        url=f"https://localhost:{port}",
        ca_file=authority.ca_file,
        process=process,
        directory=directory,
    )
    try:
        _await_answer(sink, port)
        yield sink
    finally:
        sink.stop()


def find_nginx() -> str | None:
    """Return where nginx is, also where only root has it on the path."""
    return shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")


def free_port() -> int:
    """Return a port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _nginx(program: str, directory: Path, conf: str) -> list[str]:
    file = directory / "nginx.conf"
    file.write_text(conf)
    return [program, "-c", str(file), "-e", str(directory / "error.log")]


def _granian(authority: Authority, port: int) -> list[str]:
    options = ["--interface", "rsgi", "--http", "auto", "--loop", "uvloop", "--no-ws", "--no-log"]
    keys = [
        "--ssl-certificate",
        str(authority.chain_file),
        "--ssl-keyfile",
        str(authority.chain_file),
    ]
    address = ["--host", "127.0.0.1", "--port", str(port)]
    return [sys.executable, "-m", "granian", *options, *keys, *address, "bench.accept_all:app"]


def _await_answer(sink: Sink, port: int) -> None:
    """Wait until it takes a TLS connection."""
    context = ssl.create_default_context(cafile=sink.ca_file)
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            with (
                socket.create_connection(("127.0.0.1", port), timeout=1) as plain,
                context.wrap_socket(plain, server_hostname="localhost"),
            ):
                return
        except OSError as error:
            if sink.process.poll() is not None or time.monotonic() > deadline:
                log = (sink.directory / "sink.log").read_text()[-500:]
                message = f"The sink ({sink.name}) does not answer: {error}. {log}"
                raise RuntimeError(message) from error
            time.sleep(POLL_SECONDS)
