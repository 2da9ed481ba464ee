"""A campaign's file, YAML or JSON, with its faults by line, column and field. Pure.

Of YAML what JSON has: texts, numbers, true and false, null, lists and mappings. A bare `22:00`,
`2026-12-01` or `on` is the text that it is; YAML 1.1 has a number, a date and a boolean there.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import orjson
import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode
from yaml.reader import Reader, ReaderError

from pushsvc.bodies import pointer_to
from pushsvc.errors import Fault, InvalidRequestError

#: Content and a query may have 128 KB each.
FILE_BYTES: Final = 524_288
#: What aliases multiply is bounded by the values there are in the end.
VALUES_MOST: Final = 100_000
DEPTH_MOST: Final = 100
#: As many faults as an answer of the API has.
FAULTS_MOST: Final = 20
#: What Postgres and JSON can hold of numbers.
_INTEGERS: Final = range(-(2**63), 2**64)

_SURROGATE: Final = re.compile("[\ud800-\udfff]")
_TEXT: Final = "tag:yaml.org,2002:str"


@dataclass(frozen=True, slots=True, kw_only=True)
class FileFault:
    """One thing that is wrong, and where."""

    #: both from 1 on
    line: int
    column: int
    #: JSON pointer into the definition; empty for the whole
    pointer: str
    code: str
    detail: str


class FileError(Exception):
    """A file defines no campaign."""

    def __init__(self, faults: list[FileFault]) -> None:
        super().__init__("; ".join(f"line {one.line}: {one.detail}" for one in faults))
        self.faults = tuple(faults[:FAULTS_MOST])


@dataclass(frozen=True, slots=True)
class Mark:
    """A place in a text, from 1 on."""

    line: int
    column: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """What a file says, and where it says it."""

    body: dict[str, Any]
    #: pointer -> where the value is, of a list or mapping its key
    marks: dict[str, Mark]

    def faults(self, error: InvalidRequestError) -> list[FileFault]:
        """Return what is wrong with the body by its place in the file."""
        return [self.placed(fault) for fault in error.faults]

    def placed(self, fault: Fault) -> FileFault:
        """Return a fault with its place: what is missing is missing in what is around it."""
        pointer = fault.pointer
        while pointer and pointer not in self.marks:
            pointer = pointer.rpartition("/")[0]
        mark = self.marks[pointer]
        return FileFault(
            line=mark.line,
            column=mark.column,
            pointer=fault.pointer,
            code=fault.code,
            detail=fault.detail,
        )


def read(text: str) -> Source:
    """Return what a file says.

    Raises:
        FileError: it is no YAML, or says what JSON cannot.
    """
    if len(text.encode("utf-8", "replace")) > FILE_BYTES:
        raise FileError([_fault(Mark(1, 1), f"The file is larger than {FILE_BYTES} bytes.")])
    body = _json(text)
    if body is not None:
        return _of_json(text, body)
    node = _composed(text)
    if not isinstance(node, MappingNode):
        message = "A campaign is a mapping of keys: name, audience, content, schedule."
        raise FileError([_fault(_mark(node), message)])
    reading = _Reading()
    return Source(body=reading.value(node), marks=reading.marks)


def _of_json(text: str, body: dict[str, Any]) -> Source:
    """Return what a file in JSON says; YAML, which nearly all JSON is, tells where it says it."""
    # Tabs between values, and some characters in texts, JSON has and YAML has not.
    plain = Reader.NON_PRINTABLE.sub("?", text.replace("\t", " "))
    reading = _Reading(is_json=True)
    try:
        reading.value(_composed(plain))
    except _NotComposedError:
        return Source(body=body, marks={"": Mark(1, 1)})
    return Source(body=body, marks=reading.marks)


def _json(text: str) -> dict[str, Any] | None:
    """Return the object that a text is in JSON, if it is one.

    What of JSON is not read by YAML as meant: pairs of surrogates, tabs.
    """
    try:
        found = orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
    return found if isinstance(found, dict) else None


class _NotComposedError(FileError):
    """It is no YAML."""


class _Loader(yaml.SafeLoader):
    """Knows no more types than JSON."""


_Loader.yaml_implicit_resolvers = {}
_RESOLVED: Final = (
    ("null", r"null|~|", ["n", "~", ""]),
    ("bool", r"true|false", ["t", "f"]),
    ("int", r"-?(?:0|[1-9][0-9]*)", list("-0123456789")),
    (
        "float",
        r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?",
        list("-0123456789"),
    ),
)
for _kind, _pattern, _first in _RESOLVED:
    _Loader.add_implicit_resolver(
        f"tag:yaml.org,2002:{_kind}", re.compile(rf"^(?:{_pattern})$"), _first
    )


def _composed(text: str) -> Node | None:
    loader = _Loader("")
    try:
        loader = _Loader(text)
        return loader.get_single_node()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        said = (error.problem or "it is no YAML").removesuffix(".")
        raise _NotComposedError([_fault(_marked(mark), f"It is no YAML here: {said}.")]) from None
    except ReaderError as error:
        found = Mark(text.count("\n", 0, error.position) + 1, 1)
        message = "It holds a character that YAML cannot have; write it as \\u0000 in quotes."
        raise _NotComposedError([_fault(found, message)]) from None
    except RecursionError:
        raise _NotComposedError([_fault(Mark(1, 1), "It is nested too deeply.")]) from None
    finally:
        loader.dispose()


class _Reading:
    """One walk over the nodes: values, and where they stand."""

    def __init__(self, *, is_json: bool = False) -> None:
        self.marks: dict[str, Mark] = {}
        self._values = 0
        #: There a character may be a pair of surrogates, which are two to YAML.
        self._may_pair = is_json

    def value(self, node: Node | None, pointer: str = "", *, key: Node | None = None) -> Any:
        """Return what a node says; `key` is what leads to it in a mapping."""
        self._values += 1
        self.marks[pointer] = _mark(key if key and not isinstance(node, ScalarNode) else node)
        if self._values > VALUES_MOST or pointer.count("/") > DEPTH_MOST:
            message = "It has too many values, or is nested too deeply; aliases count in full."
            raise FileError([_fault(_mark(node), message, pointer=pointer)])
        if isinstance(node, MappingNode):
            return dict(self._items(node, pointer))
        if isinstance(node, SequenceNode):
            return [self.value(one, f"{pointer}/{n}") for n, one in enumerate(node.value)]
        assert isinstance(node, ScalarNode)
        if node.tag == _TEXT:
            self._check_text(node, pointer)
        return _scalar(node, pointer)

    def _items(self, node: MappingNode, pointer: str) -> Iterator[tuple[str, Any]]:
        seen = set[str]()
        for key, value in node.value:
            if not isinstance(key, ScalarNode):
                message = "A key must be a text."
                raise FileError([_fault(_mark(key), message, pointer=pointer)])
            name = str(key.value)
            self._check_text(key, pointer)
            below = pointer + pointer_to((name,))
            if name in seen:
                message = f'The key "{name[:100]}" comes twice.'
                raise FileError([_fault(_mark(key), message, pointer=below)])
            seen.add(name)
            yield name, self.value(value, below, key=key)

    def _check_text(self, node: Node, pointer: str) -> None:
        text = str(node.value)
        flaw = None
        if "\0" in text:
            flaw = "It holds the character U+0000, which cannot be stored."
        elif not self._may_pair and _SURROGATE.search(text):
            flaw = "It holds half of a surrogate pair; write the character itself."
        if flaw:
            raise FileError([_fault(_mark(node), flaw, pointer=pointer)])


def _scalar(node: ScalarNode, pointer: str) -> Any:
    kind, text = str(node.tag).removeprefix("tag:yaml.org,2002:"), str(node.value)
    if kind == "null":
        return None
    if kind == "bool":
        return text == "true"
    if kind in {"int", "float"}:
        return _number(node, text, pointer)
    if node.tag == _TEXT:
        return text
    message = f"{node.tag} is not read here: write a text, a number, true, false or null."
    raise FileError([_fault(_mark(node), message, pointer=pointer)])


def _number(node: Node, text: str, pointer: str) -> int | float:
    try:
        number = int(text) if text.lstrip("-").isdigit() else float(text)
    except ValueError:
        number = float("inf")
    if isinstance(number, int) and number in _INTEGERS:
        return number
    if isinstance(number, float) and abs(number) != float("inf"):
        return number
    message = "The number is too large; in quotes it is a text."
    raise FileError([_fault(_mark(node), message, pointer=pointer)])


def _fault(mark: Mark, detail: str, *, pointer: str = "") -> FileFault:
    return FileFault(
        line=mark.line, column=mark.column, pointer=pointer, code="invalid_file", detail=detail
    )


def _mark(node: Node | None) -> Mark:
    return _marked(node.start_mark if node else None)


def _marked(mark: Any) -> Mark:
    return Mark(1, 1) if mark is None else Mark(mark.line + 1, mark.column + 1)
