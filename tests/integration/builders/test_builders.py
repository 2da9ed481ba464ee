"""The builders that Parse's push adapter has make the same requests as we, but for one table."""

import pytest

from tests import node_packages
from tests.integration.builders import comparing
from tests.integration.builders.cases import FORMS, generated
from tests.integration.builders.comparing import Pair, Told
from tests.integration.builders.intended import TABLE

pytestmark = pytest.mark.integration

CASES = 2_000
#: How many differences are printed: one row of the table accounts for many.
SHOWN = 3


@pytest.fixture(scope="module")
def tolds() -> list[Told]:
    """What both made of each case; a machine without Node has a reason to skip."""
    try:
        node_packages.install(comparing.HOME)
    except node_packages.MissingError as error:
        pytest.skip(f"the push adapter's builders are not tried: {error}")
    return comparing.told(
        [Pair(case=case, form=form) for case in generated(CASES) for form in FORMS]
    )


def test_requests_are_the_same_but_for_the_table(tolds: list[Told]) -> None:
    """@parse/push-adapter, with its node-apn and firebase-admin, and we send the same JSON."""
    found = [text for one in tolds if (text := comparing.unaccounted(one))]
    shown = "\n\n".join(found[:SHOWN])
    if found:
        pytest.fail(f"{len(found)} of {len(tolds)} differ:\n\n{shown}", pytrace=False)


def test_every_row_of_the_table_makes_a_difference(tolds: list[Told]) -> None:
    """Without it, in each form that it speaks of, some request would be another."""
    rows = {(row.name, form) for row in TABLE for form in row.forms}
    idle = [f"{name}: {form}" for name, form in sorted(rows - comparing.needed(tolds))]
    if idle:
        pytest.fail("rows that nothing needs:\n" + "\n".join(idle), pytrace=False)


def test_most_pushes_are_sent_by_both(tolds: list[Told]) -> None:
    """What is refused has nothing to compare, so it must be the few."""
    assert sum(isinstance(one.ours, dict) for one in tolds) > len(tolds) * 3 / 4
