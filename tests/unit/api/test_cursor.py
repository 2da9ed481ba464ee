"""Cursors of pages."""

import contextlib

import pytest
from hypothesis import given, strategies as st

from pushsvc.api.v1 import cursor
from pushsvc.errors import InvalidRequestError


@given(st.integers(0, 2**63 - 1))
def test_a_cursor_leads_back_to_its_key(key: int) -> None:
    """And can stand in a URL as it is."""
    written = cursor.write(key)

    assert cursor.read(written) == key
    assert written.replace("-", "").replace("_", "").isalnum()


@given(st.text())
def test_any_text_is_a_cursor_or_a_callers_mistake(text: str) -> None:
    """And every cursor is a bigint."""
    with contextlib.suppress(InvalidRequestError):
        assert 0 <= cursor.read(text) < 2**63


@given(st.from_regex(r"[A-Za-z0-9_.-]{1,64}", fullmatch=True))
def test_a_cursor_leads_back_to_its_name(name: str) -> None:
    """And is none of a list by keys."""
    written = cursor.write_name(name)

    assert cursor.read_name(written) == name
    assert written.replace("-", "").replace("_", "").isalnum()
    with pytest.raises(InvalidRequestError):
        cursor.read(written)


@given(st.text() | st.integers(0, 2**63 - 1).map(cursor.write))
def test_any_text_is_a_cursor_of_a_name_or_a_callers_mistake(text: str) -> None:
    """And what it leads to can stand in a query."""
    with contextlib.suppress(InvalidRequestError):
        assert cursor.read_name(text).isprintable()


@pytest.mark.parametrize("text", ["", "=", "x", cursor.write(1)[:-1], cursor.write(1) + "AAAA"])
def test_what_is_no_cursor_is_refused(text: str) -> None:
    """With the name of the parameter."""
    with pytest.raises(InvalidRequestError) as caught:
        cursor.read(text)
    assert caught.value.faults[0].pointer == "?cursor"
