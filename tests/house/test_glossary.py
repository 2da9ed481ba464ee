"""docs/glossary.md explains every table and every word that the model knows, in one sentence."""

import re
from enum import Enum
from pathlib import Path

import pytest

from pushsvc import model
from pushsvc.model import (
    BatchState,
    CampaignState,
    Deferral,
    Dimension,
    GatewayName,
    Halt,
    Lane,
    Late,
    OnUnknown,
    Outcome,
    OutcomeClass,
    Overlap,
    PushState,
    QuietThen,
    RunState,
    SkipReason,
    Source,
    TokenEventKind,
    TokenState,
)
from pushsvc.storage.apps import KeyKind, Scope
from pushsvc.storage.tables import metadata

PAGE = Path(__file__).parents[2] / "docs" / "glossary.md"
HEADING = re.compile(r"^## (.+)$", re.MULTILINE)
ENTRY = re.compile(
    r"^- \*\*(?P<words>[^*]+)\*\*: (?P<text>.+?)(?=^- |^#|^$|\Z)", re.MULTILINE | re.DOTALL
)

ENUMS: tuple[type[Enum], ...] = (
    GatewayName,
    Lane,
    PushState,
    BatchState,
    Source,
    OnUnknown,
    Late,
    CampaignState,
    RunState,
    SkipReason,
    Overlap,
    Halt,
    QuietThen,
    OutcomeClass,
    Deferral,
    Outcome,
    Dimension,
    KeyKind,
    Scope,
    TokenEventKind,
    TokenState,
)
#: The words to say, each of which has one meaning everywhere.
WORDS = (
    *("push", "installation", "audience", "where", "channel", "batch", "message", "gateway"),
    *("outcome", "reason", "attempt", "lane", "lease", "ledger"),
)


def sections() -> dict[str, dict[str, str]]:
    """Heading to entries: the word, and its sentence."""
    _, *parts = HEADING.split(PAGE.read_text(encoding="utf-8"))
    return {
        heading: {found["words"]: found["text"].strip() for found in ENTRY.finditer(text)}
        for heading, text in zip(parts[::2], parts[1::2], strict=True)
    }


def section(mark: str) -> dict[str, str]:
    """The entries under the heading that has this mark."""
    (found,) = (entries for heading, entries in sections().items() if mark in heading)
    return found


@pytest.mark.parametrize("enum", [pytest.param(enum, id=enum.__name__) for enum in ENUMS])
def test_every_member_of_an_enum_is_explained(enum: type[Enum]) -> None:
    """Each enum has a section that lists exactly its members, in their order."""
    expected = [member.name.lower() for member in enum]
    assert expected == list(section(f"`{enum.__name__}`"))


def test_no_enum_of_the_model_is_left_out() -> None:
    """A new enum in the model needs a section, too."""
    there = {
        value
        for value in vars(model).values()
        if isinstance(value, type)
        and issubclass(value, Enum)
        and value.__module__.startswith(model.__name__)
    }
    assert there <= set(ENUMS)


def test_every_table_is_explained() -> None:
    """The section on tables lists exactly those there are."""
    assert sorted(metadata.tables) == sorted(section("Tables"))


def test_the_words_we_say_are_explained() -> None:
    """The words that code, tables, metrics, logs and documents share are all there."""
    assert sorted(set(WORDS) - set(section("The words"))) == []


def test_one_sentence_each() -> None:
    """An entry is one sentence: it ends in a full stop, and has no other."""
    texts = {word: text for entries in sections().values() for word, text in entries.items()}
    wrong = [word for word, text in texts.items() if not re.fullmatch(r"(?s)(?!.*\. ).+\.", text)]
    assert wrong == []


def test_the_words_are_in_alphabetical_order() -> None:
    """The list of words can be searched by eye."""
    there = list(section("The words"))
    assert sorted(there) == there
