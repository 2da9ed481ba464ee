"""The files of the wire's core by its contract in pyproject.toml, for `coverage --include`."""

import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
CONTRACT = "sans-io"


def core() -> list[str]:
    """Each module of the contract as a path from the root."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    (modules,) = (
        contract["source_modules"]
        for contract in project["tool"]["importlinter"]["contracts"]
        if contract["id"] == CONTRACT
    )
    return [f"{module.replace('.', '/')}.py" for module in modules]


if __name__ == "__main__":
    print(",".join(core()))  # noqa: T201 - the result
