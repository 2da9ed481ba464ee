"""Patterns of PCRE in Postgres's words."""

import pytest
from hypothesis import given, strategies as st

from pushsvc.targeting.patterns import PatternError, translated


@pytest.mark.parametrize(
    ("pattern", "options", "words"),
    [
        pytest.param("", "", "***:(?p)", id="nothing"),
        pytest.param("a.b", "", "***:(?p)a.b", id="as it is"),
        pytest.param("a.b", "s", "***:(?s)a.b", id="dot is any character"),
        pytest.param("^a$", "m", "***:(?n)^a$", id="every line"),
        pytest.param("^a$", "ms", "***:(?w)^a$", id="both"),
        pytest.param("a b", "xiu", "***:(?pix)a b", id="other options"),
        pytest.param("(?i)(?s)a", "", "***:(?si)a", id="options of its own"),
        pytest.param(r"^\Qa.b (c)\E", "", r"***:(?p)^a\.b\ \(c\)", id="quoted"),
        pytest.param(r"\Qa.", "", r"***:(?p)a\.", id="quoted to the end"),
        pytest.param(
            r"\Qa\E\\E\Qb\E", "", r"***:(?p)a\\Eb", id="a quoted end, as the SDKs have it"
        ),
        pytest.param(r"a\E", "", "***:(?p)a", id="the end of no quotation"),
        pytest.param(r"\ba\B\z\Z", "", r"***:(?p)\ya\Y\Z(?=\n?\Z)", id="borders"),
        pytest.param(r"\x41\x{1F44B}\x", "", r"***:(?p)\U00000041\U0001F44B\U00000000", id="codes"),
        pytest.param(r"[\b\d\]\Q]\E]", "", r"***:(?p)[\b\d\]\]]", id="class"),
        pytest.param(r"[]\b][^]\b]\b", "", r"***:(?p)[]\b][^]\b]\y", id="a class of its own end"),
        pytest.param("[[:alpha:]-]", "", "***:(?p)[[:alpha:]-]", id="named class"),
        pytest.param(r"\é\-\_", "", r"***:(?p)é\-_", id="needless escapes"),
        pytest.param("***=a", "", "***:(?p)***=a", id="no word of Postgres's"),
        pytest.param("[a", "", "***:(?p)[a", id="what is left to Postgres to refuse"),
        pytest.param("a\\", "", "***:(?p)a\\", id="an escape of nothing"),
    ],
)
def test_translated(pattern: str, options: str, words: str) -> None:
    """Quotations, borders, codes and options become Postgres's own; the rest is the same."""
    assert words == translated(pattern, options)


@pytest.mark.parametrize("pattern", [r"\p{L}", r"\K", r"\m", r"\y", r"(a)\1", r"\g1", r"\R"])
def test_unknown(pattern: str) -> None:
    """What would mean another thing, or has no bound, is refused."""
    with pytest.raises(PatternError, match="is not known here"):
        translated(pattern, "")


@given(st.text(st.characters(blacklist_categories=["Cs"])))
def test_nothing_is_left_of_a_quotation(text: str) -> None:
    """A quoted text has no character left that could mean something."""
    words = translated(rf"\Q{text.replace(chr(92), '')}\E", "").removeprefix("***:(?p)")
    bare = "".join(words.split("\\")[0:1]) + "".join(part[1:] for part in words.split("\\")[1:])
    assert all(char.isalnum() or char == "_" or not char.isascii() for char in bare)
