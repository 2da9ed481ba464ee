"""A pattern as Parse's apps write it (PCRE) becomes one of Postgres, which matches the same. Pure.

Escapes: PCRE's pcre2pattern(3), PostgreSQL's manual 9.7.3.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Final

#: What `$options` may have; `u` is MongoDB's default.
OPTIONS: Final = re.compile("[imxsu]+")

_LEADING_OPTIONS: Final = re.compile(r"\(\?([imsx]+)\)")
_ESCAPE: Final = (
    r"\\Q(?P<quoted>.*?)(?:\\E|\Z)|\\(?P<escaped>x\{[0-9a-fA-F]{1,6}\}|x[0-9a-fA-F]{0,2}|.)"
)
#: One step through a pattern: a quotation, an escape, a class of characters, or a character.
_STEP: Final = re.compile(
    _ESCAPE + r"|(?P<class>\[\^?\]?(?:\[:\w+:\]|\\.|[^\]\\])*\])|(?P<other>.)", re.DOTALL
)
_STEP_IN_CLASS: Final = re.compile(_ESCAPE + r"|(?P<other>.)", re.DOTALL)
#: Letters that mean the same after a backslash in both.
_SAME: Final = frozenset("dDwWsSnrtfvaecA0")
#: Those that do not: a word's border, the end of all; \E without a \Q is nothing.
_OTHERWISE: Final[Mapping[str, str]] = {
    "b": r"\y",
    "B": r"\Y",
    "z": r"\Z",
    "Z": r"(?=\n?\Z)",
    "E": "",
}
#: A backspace.
_OTHERWISE_IN_CLASS: Final[Mapping[str, str]] = {"b": r"\b", "E": ""}
#: Whether a line's end is special to `.`, and to `^` and `$`: options `s` and `m` of PCRE.
_NEWLINES: Final[Mapping[tuple[bool, bool], str]] = {
    (False, False): "p",
    (True, False): "s",
    (False, True): "n",
    (True, True): "w",
}


class PatternError(Exception):
    """Postgres has nothing that means the same."""


def translated(pattern: str, options: str) -> str:
    """Return the pattern in Postgres's words, its options within.

    That it is a pattern at all, only Postgres can tell.

    Raises:
        PatternError: it has a word of PCRE's that Postgres lacks, or a back reference, whose time
            nothing bounds.
    """
    while found := _LEADING_OPTIONS.match(pattern):
        options += found[1]
        pattern = pattern[found.end() :]
    newlines = _NEWLINES["s" in options, "m" in options]
    flags = newlines + "".join(flag for flag in "ix" if flag in options)
    return f"***:(?{flags}){''.join(_translate(pattern))}"


def _translate(pattern: str) -> Iterator[str]:
    for step in _STEP.finditer(pattern):
        if step["class"] is None:
            yield _step(step, _OTHERWISE)
        else:
            inside = _STEP_IN_CLASS.finditer(step["class"])
            yield "".join(_step(character, _OTHERWISE_IN_CLASS) for character in inside)


def _step(step: re.Match[str], otherwise: Mapping[str, str]) -> str:
    if step["quoted"] is not None:
        return "".join(map(_literal, step["quoted"]))
    if step["escaped"] is not None:
        return _escape(step["escaped"], otherwise)
    return step["other"]


def _escape(escaped: str, otherwise: Mapping[str, str]) -> str:
    if escaped[0] == "x":
        return rf"\U{escaped.strip('x{}') or '0':0>8}"
    if escaped in otherwise:
        return otherwise[escaped]
    if escaped not in _SAME and (escaped.isascii() and escaped.isalnum()):
        raise PatternError(f"\\{escaped} is not known here")
    return _literal(escaped) if escaped not in _SAME else rf"\{escaped}"


def _literal(character: str) -> str:
    # Postgres knows no other meaning of an escaped character that is neither letter nor digit.
    is_plain = character.isalnum() or character == "_" or not character.isascii()
    return character if is_plain else rf"\{character}"
