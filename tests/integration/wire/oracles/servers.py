"""Real HTTP/2 servers on this machine: how each is started, stopped, and asked for its faults."""

import getpass
import importlib.util
import mmap
import os
import re
import shutil
import socket
import ssl
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.integration.wire.certificates import Authority
from tests.integration.wire.oracles.traffic import HUGE, LARGE

_HERE = Path(__file__).parent
_ROOT = _HERE.parents[3]

_START_SECONDS = 20.0
_STOP_SECONDS = 10.0
_POLL_SECONDS = 0.02
#: Faults that are shown; a log may have millions.
_MOST_FAULTS = 10

#: Where systems keep servers, which is not in everybody's PATH.
_PATH = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"))


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """What one server has to itself."""

    folder: Path
    #: Certificate and key in one file.
    pem: str
    port: int = field(default_factory=_free_port)
    side_port: int = field(default_factory=_free_port)

    @property
    def log(self) -> Path:
        """Everything the server says."""
        return self.folder / "server.log"

    def fill(self, name: str, **more: object) -> str:
        """A configuration file of this folder with its @WORDS@ put in; its path."""
        words: dict[str, object] = {
            "FOLDER": self.folder,
            "PEM": self.pem,
            "PORT": self.port,
            "SIDE_PORT": self.side_port,
            "USER": getpass.getuser(),
        }
        text = (_HERE / name).read_text(encoding="utf-8")
        for word, value in (words | more).items():
            text = text.replace(f"@{word}@", str(value))
        path = self.folder / name
        path.write_text(text, encoding="utf-8")
        return str(path)

    def documents(self) -> str:
        """A folder with files to serve."""
        documents = self.folder / "documents"
        (documents / "folder").mkdir(parents=True)
        files = {"empty": b"", "small": b'{"ok":true}', "large": LARGE, "huge": HUGE}
        for name, content in files.items():
            (documents / name).write_bytes(content)
        return str(documents)


@dataclass(frozen=True, slots=True, kw_only=True)
class Oracle:
    """A server to be judged by. `program` is None where it is not installed."""

    name: str
    program: str | None
    #: How it comes onto a machine.
    comes_by: str = "make wire-servers installs it where it may"
    start: Callable[[str, Place], list[str]]
    #: What the log says if the client broke the protocol, or left otherwise than in peace.
    fault: re.Pattern[bytes]
    #: What goes into the log at the end, where the server keeps it elsewhere.
    last_words: Callable[[Place], bytes] = lambda _: b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A running server, and after its end what it found wrong."""

    port: int
    faults: list[str] = field(default_factory=list)


@contextmanager
def running(oracle: Oracle, folder: Path, authority: Authority) -> Iterator[Server]:
    """The server until the end of the block; then its faults are known, and its log is gone."""
    if oracle.program is None:
        pytest.skip(f"{oracle.name} is not installed: {oracle.comes_by}")
    place = Place(folder=folder, pem=authority.certify("localhost"))
    server = Server(port=place.port)
    with place.log.open("wb") as log:
        command = oracle.start(oracle.program, place)
        process = subprocess.Popen(command, stdout=log, stderr=log, cwd=_ROOT)
        try:
            _await_tls(process, place, authority.ca_file)
            yield server
            log.write(oracle.last_words(place))
        finally:
            _stop(process)
    server.faults.extend(_matches(oracle.fault, place.log))
    place.log.unlink()


def _await_tls(process: "subprocess.Popen[bytes]", place: Place, ca_file: str) -> None:
    context = ssl.create_default_context(cafile=ca_file)
    context.set_alpn_protocols(["h2"])
    deadline = time.monotonic() + _START_SECONDS
    while True:
        try:
            with (
                socket.create_connection(("127.0.0.1", place.port), timeout=1) as plain,
                context.wrap_socket(plain, server_hostname="localhost"),
            ):
                return
        except OSError as error:
            if process.poll() is not None or time.monotonic() > deadline:
                said = place.log.read_text(errors="replace")[-1_000:]
                message = f"{process.args!r} does not answer: {error}. {said}"
                raise RuntimeError(message) from error
            time.sleep(_POLL_SECONDS)


def _stop(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()
    try:
        process.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _matches(pattern: re.Pattern[bytes], log: Path) -> list[str]:
    """The first lines that match; nghttpd's log has more than 100 MB."""
    if not log.stat().st_size:
        return []
    found: list[str] = []
    with log.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as octets:
        for match in pattern.finditer(octets):
            start, end = octets.rfind(b"\n", 0, match.start()) + 1, octets.find(b"\n", match.end())
            found.append(octets[start : end if end >= 0 else None].decode(errors="replace"))
            if len(found) == _MOST_FAULTS:
                break
    return found


# -- The servers ------------------------------------------------------------------------------


def _nghttpd(program: str, place: Place) -> list[str]:
    """Padding in every frame it writes, trailers after every body, windows of less than a body."""
    options = ["--verbose", "--echo-upload", "--trailer=x-end: yes", "--padding=64"]
    windows = ["--window-bits=12", "--max-concurrent-streams=100"]
    where = ["--address=127.0.0.1", f"--htdocs={place.documents()}"]
    return [program, *options, *windows, *where, str(place.port), place.pem, place.pem]


def _nginx(requests: int, streams: int) -> Callable[[str, Place], list[str]]:
    def start(program: str, place: Place) -> list[str]:
        place.documents()
        conf = place.fill("nginx.conf", REQUESTS=requests, STREAMS=streams)
        return [program, "-c", conf, "-e", "stderr"]

    return start


def _h2o(program: str, place: Place) -> list[str]:
    place.documents()
    return [program, "--conf", place.fill("h2o.conf")]


def _h2o_counters(place: Place) -> bytes:
    with urllib.request.urlopen(f"http://127.0.0.1:{place.side_port}/status/json") as page:
        counters: bytes = page.read()
        return counters


def _node(program: str, place: Place) -> list[str]:
    return [program, str(_HERE / "node_server.mjs"), str(place.port), place.pem]


def _hypercorn(program: str, place: Place) -> list[str]:
    app = "tests.integration.wire.oracles.hypercorn_app:app"
    return [program, "-m", "hypercorn", "--config", place.fill("hypercorn.toml"), app]


def _which(program: str) -> str | None:
    return shutil.which(program, path=_PATH)


#: On nginx's level `info` are its complaints about clients, and how connections ended.
_NGINX_FAULT = re.compile(
    rb"client (?:sent|violated|exceeded|attempted|prematurely|terminated|intended)"
    rb"|concurrent streams exceeded|http2 flood|invalid http2"
    rb"|\[(?:warn|error|crit|alert|emerg)\]"
)

NGHTTPD = Oracle(
    name="nghttpd",
    program=_which("nghttpd"),
    start=_nghttpd,
    fault=re.compile(
        rb"\[INVALID|\[ERROR|send (?:GOAWAY|RST_STREAM)|error_code=(?!NO_ERROR|CANCEL)"
    ),
)
NGINX = Oracle(
    name="nginx",
    program=_which("nginx"),
    start=_nginx(requests=1_000_000_000, streams=128),
    fault=_NGINX_FAULT,
)
RETIRING_NGINX = Oracle(
    name="nginx",
    program=_which("nginx"),
    start=_nginx(requests=1_000, streams=16),
    fault=_NGINX_FAULT,
)
H2O = Oracle(
    name="h2o",
    program=_which("h2o"),
    start=_h2o,
    fault=re.compile(rb'"http2-errors\.[\w-]+": [1-9]|\[ERROR\]'),
    last_words=_h2o_counters,
)
#: node_server.mjs says nothing unless something is wrong.
NODE = Oracle(name="node", program=_which("node"), start=_node, fault=re.compile(rb".+"))
HYPERCORN = Oracle(
    name="hypercorn",
    program=sys.executable if importlib.util.find_spec("hypercorn") else None,
    comes_by="it is in the extra `dev`",
    start=_hypercorn,
    fault=re.compile(rb"fault: |Traceback|\[(?:WARNING|ERROR|CRITICAL)\]"),
)
