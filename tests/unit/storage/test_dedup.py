"""Parse's dedup rules, row by row of their table."""

import pytest
from hypothesis import given, strategies as st

from pushsvc.errors import CallerError, InvalidInstallationError, NotFoundError
from pushsvc.storage.dedup import Decision, Known, Save, decide


def known(number: int, **fields: str | None) -> Known:
    values: dict[str, str | None] = {
        "installation_id": None,
        "device_token": None,
        "app_identifier": None,
        **fields,
    }
    return Known(id=number, object_id=f"object-{number}", device_type="ios", **values)


def create(**fields: str) -> Save:
    return Save(**{"device_type": "ios", **fields})  # type: ignore[arg-type]


def test_a_create_names_a_device() -> None:
    """135."""
    with pytest.raises(InvalidInstallationError, match="at least one ID field") as caught:
        decide(create(), [])
    assert caught.value.parse_number == 135


def test_a_header_is_name_enough() -> None:
    """It finds installations, though it is not stored."""
    assert decide(create(header_installation_id="i"), []) == Decision(target=None)


def test_a_new_device_has_a_type() -> None:
    """135; a known one need not repeat it."""
    save = Save(installation_id="i")

    with pytest.raises(InvalidInstallationError, match="deviceType must be specified") as caught:
        decide(save, [])
    assert caught.value.parse_number == 135
    assert decide(save, [known(1, installation_id="i")]) == Decision(target=1)


@pytest.mark.parametrize(
    ("save", "rows", "decision"),
    [
        (create(installation_id="i", device_token="t"), [], Decision(target=None)),
        # one row has the token: it or we have no id
        (create(installation_id="i", device_token="t"), [known(1, device_token="t")], 1),
        (create(device_token="t"), [known(1, device_token="t", installation_id="j")], 1),
        # the token moved from another id
        (
            create(installation_id="i", device_token="t"),
            [known(1, device_token="t", installation_id="j")],
            Decision(target=None, obsolete=(1,)),
        ),
        (
            create(installation_id="i", device_token="t"),
            [known(1, device_token="t"), known(2, device_token="t", installation_id="j")],
            Decision(target=None, obsolete=(1, 2)),
        ),
        # ... but only within the app that is named
        (
            create(installation_id="i", device_token="t", app_identifier="a"),
            [
                known(1, device_token="t", installation_id="j", app_identifier="a"),
                known(2, device_token="t", installation_id="k", app_identifier="b"),
                known(3, device_token="t", installation_id="l"),
            ],
            Decision(target=None, obsolete=(1,)),
        ),
        # merge: the row of the token lives on
        (
            create(installation_id="i", device_token="t"),
            [known(1, installation_id="i"), known(2, device_token="t")],
            Decision(target=2, obsolete=(1,)),
        ),
        # never with itself
        (
            Save(object_id="object-1", device_token="t"),
            [known(1, device_token="t")],
            Decision(target=1),
        ),
        # a known device with a new token
        (
            create(installation_id="i", device_token="t"),
            [known(1, installation_id="i"), known(2, device_token="t", installation_id="j")],
            Decision(target=1, obsolete=(2,)),
        ),
        (
            Save(object_id="object-1", names_object_id=True, device_token="t"),
            [known(1, installation_id="i"), known(2, device_token="t", installation_id="j")],
            Decision(target=1, obsolete=(2,)),
        ),
        (
            Save(object_id="object-1", device_token="t"),
            [known(1, installation_id="i"), known(2, device_token="t", installation_id="j")],
            Decision(target=1),
        ),
        # the token it has
        (
            create(installation_id="i", device_token="t"),
            [
                known(1, installation_id="i", device_token="t"),
                known(2, installation_id="j", device_token="t"),
            ],
            Decision(target=1),
        ),
        # the installation id wins over the URL
        (
            Save(object_id="object-1", header_installation_id="j"),
            [known(1, installation_id="i"), known(2, installation_id="j")],
            Decision(target=2),
        ),
        # nothing that tells devices apart
        (Save(object_id="object-1"), [known(1, installation_id="i")], Decision(target=1)),
    ],
)
def test_the_table(save: Save, rows: list[Known], decision: Decision | int) -> None:
    """Each row of the table in Parse Server's RestWrite."""
    expected = Decision(target=decision) if isinstance(decision, int) else decision

    assert decide(save, rows) == expected


def test_a_token_of_many_needs_an_id() -> None:
    """132; the id in the header does not count, as it is not stored."""
    rows = [known(1, device_token="t"), known(2, device_token="t")]
    for save in (
        create(device_token="t"),
        create(device_token="t", header_installation_id="i"),
    ):
        with pytest.raises(InvalidInstallationError, match="Must specify installationId") as caught:
            decide(save, rows)
        assert caught.value.parse_number == 132


@pytest.mark.parametrize(
    ("save", "text"),
    [
        (Save(object_id="object-1"), "Object not found."),
        (Save(object_id="object-1", device_token="t"), "Object not found for update."),
    ],
)
def test_what_is_not_there_cannot_be_updated(save: Save, text: str) -> None:
    """101, in the two texts of Parse Server."""
    with pytest.raises(NotFoundError) as caught:
        decide(save, [])
    assert (caught.value.detail, caught.value.parse_number) == (text, 101)


@pytest.mark.parametrize(
    ("save", "row", "field"),
    [
        (
            Save(object_id="object-1", installation_id="j"),
            {"installation_id": "i"},
            "installationId",
        ),
        (Save(object_id="object-1", device_token="u"), {"device_token": "t"}, "deviceToken"),
        (Save(object_id="object-1", device_type="android"), {}, "deviceType"),
    ],
)
def test_what_tells_devices_apart_does_not_change(
    save: Save, row: dict[str, str], field: str
) -> None:
    """136."""
    with pytest.raises(InvalidInstallationError) as caught:
        decide(save, [known(1, **row)])
    assert caught.value.detail == f"{field} may not be changed in this operation"
    assert caught.value.parse_number == 136


few = st.sampled_from([None, "a", "b"])
saves = st.builds(
    Save,
    object_id=st.sampled_from([None, "object-0", "object-1"]),
    names_object_id=st.booleans(),
    installation_id=few,
    header_installation_id=few,
    device_token=few,
    device_type=st.sampled_from([None, "ios"]),
    app_identifier=few,
)


@st.composite
def tables(draw: st.DrawFn) -> list[Known]:
    """Rows as the database can hold them: an installation id is there once."""
    ids = draw(st.permutations([None, None, "a", "b"]))
    return [
        known(n, installation_id=one, device_token=draw(few), app_identifier=draw(few))
        for n, one in enumerate(ids[: draw(st.integers(0, 4))])
    ]


@given(saves, tables())
def test_a_decision_can_be_carried_out(save: Save, rows: list[Known]) -> None:
    """It never deletes what it updates, nor anything that is not about this device; and the
    installation id it writes is then there once."""
    about = [
        row
        for row in rows
        if (save.object_id is not None and row.object_id == save.object_id)
        or (save.matched_id and row.installation_id == save.matched_id)
        or (save.device_token and row.device_token == save.device_token)
    ]
    try:
        decision = decide(save, about)
    except CallerError:
        return
    assert decision.target not in decision.obsolete
    assert {decision.target, *decision.obsolete} <= {None, *(row.id for row in about)}
    left = [row for row in rows if row.id not in {decision.target, *decision.obsolete}]
    if save.installation_id:
        assert save.installation_id not in {row.installation_id for row in left}
