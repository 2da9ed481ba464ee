"""A million inputs, always the same ones; `make fuzz` makes others for as long as you like."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
SEED = 9113


def test_a_million_inputs_break_no_law() -> None:
    """No input makes the wire's core raise, forget a request, or outgrow a bound."""
    command = [sys.executable, "-m", "tests.fuzz", "--inputs", "1000000", "--seed", str(SEED)]
    run = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=900, check=False
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert run.stdout.count("no law broken") == 3
