"""Patterns of PCRE mean the same in Postgres, and what is none is known before it is relied on."""

import pytest
from sqlalchemy import literal, select
from sqlalchemy.ext.asyncio import AsyncEngine

from pushsvc.targeting.audience import check_patterns
from pushsvc.targeting.patterns import translated
from pushsvc.targeting.values import WhereError
from pushsvc.targeting.where import channels_where, parse_where

pytestmark = pytest.mark.integration


@pytest.mark.parametrize(
    ("pattern", "options", "found", "not_found"),
    [
        pytest.param("b", "", "abc", "aBc", id="anywhere"),
        pytest.param("B", "i", "abc", "ac", id="any case"),
        pytest.param("a.b", "", "a b", "a\nb", id="dot is no line's end"),
        pytest.param("a.b", "s", "a\nb", "ab", id="dot is anything"),
        pytest.param("^b$", "", "b", "a\nb", id="begin and end"),
        pytest.param("^b$", "m", "a\nb\nc", "ab", id="of lines"),
        pytest.param("^b.c$", "ms", "a\nb\nc", "ab\nc", id="of lines, dot is anything"),
        pytest.param("a b # c", "x", "ab", "a b", id="spaces and comments"),
        pytest.param(r"\Qa b#\E", "x", "a b#", "ab", id="quoted spaces"),
        pytest.param(r"^\Qa.(\E", "", "a.(", "ab(", id="quoted"),
        pytest.param(r"\Qa\E\\E\Qb\E", "", r"a\Eb", "ab", id="quoted end"),
        pytest.param(r"\bone\b", "", "the one!", "bones", id="word"),
        pytest.param(r"a\Z", "", "a\n", "a\nb", id="end or the last line's"),
        pytest.param(r"a\z", "", "ba", "a\n", id="very end"),
        pytest.param(r"\x41\x{1F44B}", "", "A👋", "a", id="codes"),
        pytest.param(r"[\d\]x-]$", "", "]", "\\", id="class"),
        pytest.param("(?i)a(?=b)", "", "AB", "AC", id="ahead"),
        pytest.param("(?<!a)b", "", "cb", "ab", id="behind"),
        pytest.param("a{2,3}?b|^c+$", "", "aab", "ab", id="so many"),
    ],
)
async def test_found(
    database: AsyncEngine, pattern: str, options: str, found: str, not_found: str
) -> None:
    """A pattern is found where PCRE finds it, and nowhere else."""
    words = translated(pattern, options)
    statement = select(*(literal(text).regexp_match(words) for text in (found, not_found)))
    async with database.connect() as connection:
        assert tuple((await connection.execute(statement)).one()) == (True, False)


@pytest.mark.parametrize(
    "pattern", ["(", "[a", "a**", "*a", "***=a", "(?<name>a)", "a\\", "a{3,2}"]
)
async def test_what_is_no_pattern(database: AsyncEngine, pattern: str) -> None:
    """Parse's code for it, though no row has been looked at."""
    where = {"k": "v", "$or": [{"l": {"$regex": "fine"}}, {"l": {"$regex": pattern}}]}
    with pytest.raises(WhereError, match="it is no regular expression") as caught:
        await check_patterns(database, parse_where(where))
    assert caught.value.code == 102


async def test_large_patterns(database: AsyncEngine) -> None:
    """A pattern that is short to write and endless to understand is refused in time."""
    where = {"k": {"$regex": "((((a{9,99}){9,99}){9,99})b)*"}}
    with pytest.raises(WhereError, match=r"Invalid \$regex value") as caught:
        await check_patterns(database, parse_where(where))
    assert caught.value.code == 102


async def test_patterns(database: AsyncEngine) -> None:
    """What Postgres understands passes, and so does an audience without patterns."""
    await check_patterns(database, parse_where({"k": {"$all": [{"$regex": r"^\Qa\E"}]}}))
    await check_patterns(database, channels_where(["("]))
