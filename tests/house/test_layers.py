"""The import contracts of pyproject.toml hold, and ARCHITECTURE.md tells of each."""

import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def contracts() -> list[dict[str, Any]]:
    """The contracts as pyproject.toml has them."""
    document = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    found: list[dict[str, Any]] = document["tool"]["importlinter"]["contracts"]
    return found


def test_imports_go_down_the_page() -> None:
    """import-linter keeps every contract, with the whole package there."""
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr


def test_every_module_has_its_place(contracts: list[dict[str, Any]]) -> None:
    """The layers are exhaustive: a new top-level module without a place fails the contract."""
    layers = next(contract for contract in contracts if contract["type"] == "layers")
    assert layers["exhaustive"] is True


def test_the_map_tells_of_every_contract(contracts: list[dict[str, Any]]) -> None:
    """ARCHITECTURE.md has each contract's name, as the linter shows it."""
    page = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    assert [contract["name"] for contract in contracts if contract["name"] not in page] == []


def test_contracts_name_modules_that_exist(contracts: list[dict[str, Any]]) -> None:
    """A contract on a module that was renamed would hold for ever, and mean nothing."""
    keys = ("source_modules", "modules", "forbidden_modules")
    named = {name for contract in contracts for key in keys for name in contract.get(key, ())}
    ours = {name for name in named if name.split(".")[0] == "pushsvc"}
    assert ours
    assert sorted(name for name in ours if not exists(name)) == []


def exists(module: str) -> bool:
    path = ROOT.joinpath(*module.split("."))
    return path.with_suffix(".py").exists() or (path / "__init__.py").exists()
