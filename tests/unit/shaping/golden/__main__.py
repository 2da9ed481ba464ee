"""Shows how our code differs from golden files; `--update NAME` takes what it makes, for review.

python -m tests.unit.shaping.golden                      every difference
python -m tests.unit.shaping.golden --update apns/sound  the difference, written into the file
"""

import argparse
import difflib
import json
import sys
from collections.abc import Iterator

from tests.unit.shaping.golden.files import DIRECTORY, Golden, all_goldens, made_of, read, text_of


def difference(golden: Golden) -> list[str]:
    """The lines of a diff from the file to what our code makes; none where they agree."""
    texts = (text_of(golden.expected).splitlines(), text_of(made_of(golden)).splitlines())
    return list(difflib.unified_diff(*texts, golden.name, "our code", lineterm=""))


def update(golden: Golden) -> None:
    """Write what our code makes into the file."""
    told = json.loads(golden.path.read_text(encoding="utf-8"))
    written = json.dumps({**told, "expected": made_of(golden)}, indent=2, ensure_ascii=False)
    golden.path.write_text(f"{written}\n", encoding="utf-8")


def chosen(name: str | None) -> Iterator[Golden]:
    yield from all_goldens() if name is None else [read(DIRECTORY / f"{name}.json")]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--update", metavar="NAME", help="as apns/sound")
    name = parser.parse_args().update
    status = 0
    for golden in chosen(name):
        lines = difference(golden)
        if lines:
            status = 1
            sys.stdout.write("\n".join([*lines, ""]))
        if lines and name is not None:
            update(golden)
            status = 0
    return status


if __name__ == "__main__":
    sys.exit(main())
