"""What fuzzes the wire: starts deep, stays within bounds, repeats itself, and finds and keeps."""

import subprocess
import sys
import tempfile
from itertools import islice
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, strategies as st

from pushsvc.delivery.wire import Answered, NotProcessed, Unknown
from pushsvc.delivery.wire.frames import WINDOW_UPDATE
from tests.fuzz import script
from tests.fuzz.corpus import CORPORA, FRAMES, heard
from tests.fuzz.counted import Over, Run
from tests.fuzz.engines import GUIDED, at_random
from tests.fuzz.mutate import MOST_BYTES, Mutator
from tests.fuzz.played import Owner, Played, may_be_said
from tests.fuzz.targets import TARGETS

ROOT = Path(__file__).parents[2]
STEPS = st.lists(st.tuples(st.integers(0, 255), st.binary(max_size=300)), max_size=8)
each_target = pytest.mark.parametrize("name", TARGETS)


class Broken(Exception):  # noqa: N818 - it stands for any law
    """A law that an input with a GOAWAY breaks."""


def no_goaway(octets: bytes) -> None:
    if FRAMES[-1] in octets:
        raise Broken


@pytest.fixture
def keeping(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where inputs are kept."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


@given(setting=st.integers(0, 255), steps=STEPS)
def test_a_script_is_read_as_it_was_written(setting: int, steps: list[script.Step]) -> None:
    """Octets are steps, and back."""
    assert script.read(script.written(setting, steps)) == (setting, steps)


@each_target
@given(octets=st.binary(max_size=200))
def test_any_octets_are_an_input(name: str, octets: bytes) -> None:
    """Nothing is too odd to be an input, nor too short."""
    TARGETS[name](octets)


@each_target
def test_what_is_valid_breaks_no_law(name: str) -> None:
    """The corpus, whatever its connections are cut into, is all right."""
    _, _, corpus = CORPORA[name]
    for octets in corpus():
        TARGETS[name](octets)


@pytest.mark.parametrize("said", list(heard()))
def test_valid_conversations_get_to_the_end(said: list[bytes]) -> None:
    """The core takes all that an h2 server says: mutations start there, not at a first error."""
    played = Played(0)
    for _ in range(4):
        played.open(b"\0\2")
    for octets in said:
        played.hear(octets)
    assert played.core.closed is None
    told = {**played.owners[0].verdicts, **played.owners[1].verdicts}
    assert sum(isinstance(verdict, Answered) for verdict in told.values()) in {0, 4}
    assert len(told) >= 3


@pytest.mark.parametrize("frame", FRAMES)
def test_a_flood_breaks_no_law(frame: bytes) -> None:
    """Each frame, said more often than a connection will bear, ends it; but windows may grow."""
    played = Played(script.SLOW_SETTING)
    played.hear(FRAMES[0])
    for _ in range(4):
        played.open(b"\x30\0")
    played.take()
    for _ in range(10):
        played.floods = True
        played.flood(frame)
        played.check()
    played.take()
    assert played.core.closed or frame[3] == WINDOW_UPDATE
    played.end(how=0)


@each_target
def test_mutations_are_small_and_the_same_for_a_seed(name: str) -> None:
    """An input is never large, and a seed gives the same ones again."""
    framed, words, corpus = CORPORA[name]
    mutator = Mutator(words, framed=framed)

    def some(seed: int) -> list[bytes]:
        random = Random(seed)
        return [mutator.mutated(octets, random) for octets in corpus() * 20]

    assert some(1) == some(1) != some(2)
    assert all(len(octets) <= MOST_BYTES for octets in some(1))


def test_a_run_counts_its_inputs(capsys: pytest.CaptureFixture[str]) -> None:
    """A run takes as many inputs as were asked for, and says that all was well."""
    taken: list[bytes] = []
    run = Run("frames", taken.append, inputs=1_000, seconds=60.0)
    framed, words, corpus = CORPORA["frames"]
    with pytest.raises(Over) as over:
        at_random(run, Mutator(words, framed=framed), corpus(), seed=1)
    assert (over.value.status, run.count, len(taken)) == (0, 1_000, 1_000)
    assert taken[: len(corpus())] == corpus()
    assert "1,000 inputs" in capsys.readouterr().out


def test_a_run_ends_with_its_time() -> None:
    """Without a count, a run goes on as long as it may."""
    run = Run("frames", TARGETS["frames"], inputs=-1, seconds=0.0)
    with pytest.raises(Over) as over:
        run.take(b"")
    assert over.value.status == 0


def test_an_input_that_breaks_a_law_is_kept(
    keeping: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The run fails, the input is in a file, and it is told how to give it again."""
    framed, words, _ = CORPORA["connection"]
    run = Run("connection", no_goaway, inputs=100_000, seconds=60.0)
    with pytest.raises(Over) as over:
        at_random(run, Mutator(words, framed=framed), [b"\0"], seed=1)
    assert over.value.status == 1
    (kept,) = keeping.iterdir()
    with pytest.raises(Broken):
        no_goaway(kept.read_bytes())
    told = capsys.readouterr()
    assert f"--replay {kept} --target connection" in told.out
    assert "Broken" in told.err


GUIDED_RUN = """
import sys
from pathlib import Path
from tests.fuzz.engines import guided
from tests.fuzz.corpus import CORPORA
from tests.fuzz.counted import Run
from tests.fuzz.mutate import Mutator
from tests.fuzz.test_fuzz import no_goaway

framed, words, _ = CORPORA["connection"]
run = Run("connection", no_goaway, inputs=100_000, seconds=60.0)
guided(run, Mutator(words, framed=framed), [b"0"], seed=1, folder=Path(sys.argv[1]))
"""


@pytest.mark.skipif(not GUIDED, reason="atheris is not installed")
def test_guided_by_coverage_too(tmp_path: Path) -> None:
    """The same under atheris, which would take the process over: it is kept, and the run fails."""
    command = [sys.executable, "-c", GUIDED_RUN, str(tmp_path)]
    run = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False
    )
    assert run.returncode == 1, run.stderr
    (kept,) = islice((word for word in run.stdout.split() if "pushsvc-fuzz-" in word), 1)
    path = Path(kept)
    try:
        assert FRAMES[-1] in path.read_bytes()
    finally:
        path.unlink()


def test_an_input_is_given_again(tmp_path: Path) -> None:
    """A kept input can be given to its target alone."""
    kept = tmp_path / "kept"
    kept.write_bytes(b"".join(FRAMES))
    command = [sys.executable, "-m", "tests.fuzz", "--target", "frames", "--replay", str(kept)]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert (run.returncode, run.stdout) == (0, f"{kept}: no law broken\n")


def test_the_laws_find_what_they_look_for() -> None:
    """A second verdict, a lie about safety, and octets for no cause are found."""
    owner = Owner()
    owner.settle([(owner, 1, Unknown("EOF"))])
    with pytest.raises(AssertionError):
        owner.settle([(owner, 1, Unknown("EOF"))])
    assert not may_be_said(NotProcessed("deadline"), sent=True, beyond=True)
    assert not may_be_said(NotProcessed("GOAWAY NO_ERROR"), sent=True, beyond=False)
    assert may_be_said(NotProcessed("GOAWAY NO_ERROR"), sent=True, beyond=True)
    played = Played(0)
    played.due = 10
    with pytest.raises(AssertionError):
        played.take()
