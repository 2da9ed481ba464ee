"""Where inputs come from: guided by coverage where atheris is installed, or else at random."""

import os
import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from random import Random
from tempfile import gettempdir
from typing import Any, NoReturn

from tests.fuzz.counted import Over, Run
from tests.fuzz.mutate import MOST_BYTES, Mutator

#: Of the inputs that atheris asks for, one in so many is left to its own mutations: they know
#: nothing of frames, but see what the code compares with.
_ITS_OWN = 4
#: Not guided by: it is proven by all its codes, and is slow when it tells of each octet.
_UNTOLD = ["pushsvc.delivery.wire.huffman"]
_MOST_ROUNDS = 4

#: atheris is not everywhere: see the extra `fuzz` in pyproject.toml.
GUIDED = find_spec("atheris") is not None


def _atheris() -> Any:
    """It has no types; and only a process that it may take over should have it."""
    return import_module("atheris")


def import_told(module: str) -> Any:
    """Import a module; what it imports of the package will tell atheris its coverage."""
    if not GUIDED:
        return import_module(module)
    with _atheris().instrument_imports(include=["pushsvc"], exclude=_UNTOLD):
        return import_module(module)


def guided(
    run: Run, mutator: Mutator, corpus: Sequence[bytes], *, seed: int, folder: Path
) -> NoReturn:
    """Mutate what has reached something new; the process ends with the run.

    `folder` is for the corpus as it grows.
    """
    atheris = _atheris()

    def mutated(octets: bytes, most: int, number: int) -> bytes:
        if number % _ITS_OWN == 0:
            return bytes(atheris.Mutate(octets, most))
        return mutator.mutated(octets, Random(number))[:most]

    def take(octets: bytes) -> None:
        # The engine takes an exception, and even SystemExit, for a find of its own.
        try:
            run.take(octets)
        except Over as over:
            os._exit(over.status)
        except OSError:
            # Nobody listens to us any more.
            os._exit(1)

    for number, octets in enumerate(corpus):
        (folder / f"start-{number}").write_bytes(octets)
    # What the engine itself has against an input (too much memory) is kept by it.
    kept = f"-artifact_prefix={Path(gettempdir())}/pushsvc-fuzz-"
    options = [f"-seed={seed}", f"-max_len={MOST_BYTES}", kept]
    options += ["-reload=0", "-handle_alrm=0", "-verbosity=0"]
    atheris.Setup([sys.argv[0], *options, str(folder)], take, custom_mutator=mutated)
    atheris.Fuzz()
    raise AssertionError


def at_random(run: Run, mutator: Mutator, corpus: Sequence[bytes], *, seed: int) -> NoReturn:
    """The corpus itself, then its members after one round of mutations or a few."""
    random = Random(seed)
    for octets in corpus:
        run.take(octets)
    while True:
        octets = random.choice(corpus)
        for _ in range(random.randint(1, _MOST_ROUNDS)):
            octets = mutator.mutated(octets, random)
        run.take(octets)
