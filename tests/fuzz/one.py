"""One target in a process of its own, started by `python -m tests.fuzz`: atheris takes it over."""

import sys
from argparse import ArgumentParser, Namespace
from pathlib import Path

from tests.fuzz.corpus import CORPORA
from tests.fuzz.counted import Over, Run
from tests.fuzz.engines import GUIDED, at_random, guided, import_told
from tests.fuzz.mutate import Mutator


def main(told: Namespace) -> int:
    """The status of the run; where it is guided, the process is over before this returns."""
    target = import_told("tests.fuzz.targets").TARGETS[told.target]
    run = Run(told.target, target, inputs=told.inputs, seconds=told.seconds)
    framed, words, corpus = CORPORA[told.target]
    mutator = Mutator(words, framed=framed)
    try:
        if GUIDED:
            guided(run, mutator, corpus(), seed=told.seed, folder=told.folder)
        at_random(run, mutator, corpus(), seed=told.seed)
    except Over as over:
        return over.status


def arguments() -> Namespace:
    """What the runner asks for; at least one bound is given."""
    parser = ArgumentParser()
    parser.add_argument("--target", choices=CORPORA, required=True)
    parser.add_argument("--inputs", type=int, default=-1)
    parser.add_argument("--seconds", type=float, default=float("inf"))
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--folder", type=Path, required=True)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main(arguments()))
