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


@pytest.mark.parametrize("text", ["", "=", "x", cursor.write(1)[:-1], cursor.write(1) + "AAAA"])
def test_what_is_no_cursor_is_refused(text: str) -> None:
    """With the name of the parameter."""
    with pytest.raises(InvalidRequestError) as caught:
        cursor.read(text)
    assert caught.value.faults[0].pointer == "?cursor"
