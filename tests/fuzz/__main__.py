"""`python -m tests.fuzz`: give the wire's core inputs that nobody would send."""

import subprocess
import sys
import tempfile
from argparse import ArgumentParser, Namespace
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import SystemRandom

from tests.fuzz.corpus import CORPORA
from tests.fuzz.counted import tell
from tests.fuzz.engines import GUIDED
from tests.fuzz.targets import TARGETS

#: Of a hundred inputs; what takes longer to read gets fewer.
_SHARES = {"frames": 65, "headers": 21, "connection": 14}
_MOST_SEED = 2**31 - 1
#: Of what an engine says when it fails, the end tells why.
_TAIL_LINES = 30


def arguments() -> Namespace:
    """The command line."""
    parser = ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--inputs", type=int, help="of all targets together")
    parser.add_argument("--seconds", type=float, help="for each target, instead of --inputs")
    parser.add_argument("--target", choices=TARGETS, help="this one alone")
    parser.add_argument("--seed", type=int, help="the same seed gives the same inputs")
    parser.add_argument("--replay", type=Path, help="give --target the octets of this file")
    told = parser.parse_args()
    if told.replay and not told.target:
        parser.error("--replay needs --target")
    if told.inputs is None and told.seconds is None:
        told.inputs = 1_000_000
    return told


def main(told: Namespace) -> int:
    """0 when no law was broken."""
    if told.replay:
        TARGETS[told.target](told.replay.read_bytes())
        tell(f"{told.replay}: no law broken")
        return 0
    seed = told.seed or SystemRandom().randint(1, _MOST_SEED)
    names = [told.target] if told.target else list(CORPORA)
    tell(f"seed {seed}, {'guided by coverage (atheris)' if GUIDED else 'at random: no atheris'}")
    with ThreadPoolExecutor(max_workers=len(names)) as pool:
        statuses = list(pool.map(lambda name: fuzz(name, told, seed, names), names))
    return max(statuses)


def fuzz(name: str, told: Namespace, seed: int, names: list[str]) -> int:
    """Run one target in its own process; its status."""
    bounds = [] if told.seconds is None else ["--seconds", str(told.seconds)]
    if told.inputs is not None:
        of_all = sum(_SHARES[other] for other in names)
        bounds += ["--inputs", str(told.inputs * _SHARES[name] // of_all)]
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryFile("w+") as said:
        command = [sys.executable, "-m", "tests.fuzz.one", "--target", name, *bounds]
        command += ["--seed", str(seed), "--folder", folder]
        status = subprocess.run(command, stderr=said, check=False).returncode
        if status:
            said.seek(0)
            tell("".join(said.readlines()[-_TAIL_LINES:]))
            tell(f"{name}: ended with {status}; again: --target {name} --seed {seed}")
    return abs(status)


if __name__ == "__main__":
    sys.exit(main(arguments()))
