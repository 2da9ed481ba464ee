"""`truncate` shortens the alert until the message fits, at the end of a character."""

from typing import Any

import orjson
import pytest
from hypothesis import given, settings, strategies as st

from pushsvc.model import ApnsShape, Device, FcmShape, Refused, WnsShape
from pushsvc.shaping.body import ContentError, check_content
from tests.unit.shaping.one_device import ANDROID, IOS, WINDOWS, shaped, shaper_of

TOO_LARGE = Refused(reason="PayloadTooLarge")
FAMILY = "\U0001f468\u200d\U0001f469\u200d\U0001f467"


def aps_alert(made: object) -> Any:
    assert isinstance(made, ApnsShape)
    assert len(made.body) <= 4096
    return orjson.loads(made.body)["aps"]["alert"]


def test_as_much_as_fits() -> None:
    """The longest beginning that fits, with an ellipsis; one byte more would be too many."""
    made = shaped(IOS, {"alert": "a" * 5000, "k": 1}, truncate=True)
    assert aps_alert(made) == "a" * (4096 - len('{"aps":{"alert":"…"},"k":1}'.encode())) + "…"
    assert isinstance(made, ApnsShape)
    assert len(made.body) == 4096


def test_what_fits_is_left_alone() -> None:
    """Without need nothing is shortened."""
    assert aps_alert(shaped(IOS, {"alert": "a" * 4000}, truncate=True)) == "a" * 4000


def test_without_it_the_device_is_refused() -> None:
    """Nobody's text is cut who did not ask for it."""
    data = {"alert": "a" * 5000, "alert-fr": "a"}
    assert shaped(IOS, data) == TOO_LARGE
    assert shaped(IOS, data, truncate=False) == TOO_LARGE


def test_the_body_of_an_alert_object_is_shortened() -> None:
    """Title and the rest stay."""
    found = aps_alert(
        shaped(IOS, {"alert": {"title": "T", "body": "b" * 9000, "loc-key": "K"}}, truncate=True)
    )
    assert (found["title"], found["loc-key"], found["body"][-2:]) == ("T", "K", "b…")


def test_the_text_in_the_device_s_language_is_shortened() -> None:
    """Each choice of texts is cut where it must be."""
    data = {"alert": "a", "alert-fr": "f" * 5000, "badge": "Increment"}
    device = IOS._replace(locale="fr-CA", badge=2**31 - 1)
    assert aps_alert(shaped(device, data, truncate=True)).startswith("fff")
    assert aps_alert(shaped(device._replace(locale="en"), data, truncate=True)) == "a"


def test_texts_with_variables_are_shortened_when_they_are_filled() -> None:
    """For each device; also where the text would be too large whatever is filled in."""
    device = IOS._replace(fields={"v": "b" * 5000, "w": "W"})
    assert aps_alert(shaped(device, {"alert": "a{{ v }}"}, truncate=True)).startswith("abbb")
    found = aps_alert(shaped(device, {"alert": "{{ w }}" + "a" * 5000}, truncate=True))
    assert found.startswith("Waaa")
    other = {"alert": "a" * 5000, "k": "{{ w }}"}
    made = shaped(device, other, truncate=True)
    assert isinstance(made, ApnsShape)
    assert orjson.loads(made.body)["k"] == "W"


def test_what_is_too_large_without_the_alert_stays_refused() -> None:
    """Only the alert is shortened; what else is too large is not."""
    data = {"alert": "a" * 100, "k": "k" * 4500}
    assert shaped(IOS, data, truncate=True) == TOO_LARGE
    with pytest.raises(ContentError, match="too large"):
        check_content({"data": {"alert": "a" * 100, "k": "k" * 6000}, "truncate": True})


def test_a_text_too_large_for_all_is_let_in_when_it_may_be_shortened() -> None:
    """115 is for what no gateway could be sent at all."""
    with pytest.raises(ContentError, match="too large"):
        check_content({"data": {"alert": "a" * 9000}})
    check_content({"data": {"alert": "a" * 9000}, "truncate": True})
    check_content({"data": {"alert": {"body": "a" * 9000}}, "truncate": True})


@pytest.mark.parametrize(
    "unit",
    [
        *("e\u0301", "\U0001f44d\U0001f3fd", "☀\ufe0f", FAMILY, "1\ufe0f\u20e3"),
        *("\U0001f1eb\U0001f1f7", "\u0e01\u0e31", "\u0939\u093f", "\u1112\u1161\u11ab"),
        "\U0001f3f4\U000e0067\U000e0062\U000e007f",
        *("\u0e19\u0e49\u0e33", "\u0915\u094d\u0937\u093f", "\uff76\uff9e"),
    ],
)
def test_what_people_see_as_one_character_is_not_cut(unit: str) -> None:
    """Accents, skin tones, variants, flags and families stay whole, wherever the room ends."""
    for before in range(len(unit.encode())):
        found = aps_alert(shaped(IOS, {"alert": "a" * before + unit * 2500}, truncate=True))
        assert found.removesuffix("…").replace(unit, "") == "a" * before


@pytest.mark.parametrize("data", [{}, {"badge": 3}, {"badge": "Increment"}], ids=str)
def test_a_text_that_only_a_toast_has_is_filled(data: dict[str, Any]) -> None:
    """A toast that is shortened stays one; without a text it would be a badge, or raw data."""
    device = WINDOWS._replace(fields={"v": "V"}, badge=1)
    wns = {"launch": "at {{ v }}", "image": "https://example.com/{{ v }}"}
    made = shaped(device, {**data, "alert": "a" * 6000}, truncate=True, wns=wns)
    assert isinstance(made, WnsShape)
    assert b'launch="at V"' in made.body
    assert b'src="https://example.com/V"' in made.body
    missing = shaped(WINDOWS, {**data, "alert": "a" * 6000}, truncate=True, wns=wns)
    assert missing == Refused(reason="MissingVariable:v")


def test_no_blank_stands_before_the_ellipsis() -> None:
    """Where a text is cut between words, the ellipsis follows the word."""
    alerts = [{"alert": "a" * before + " bc" * 2000} for before in range(1, 4)]
    found = [aps_alert(shaped(IOS, data, truncate=True))[-3:] for data in alerts]
    assert sorted(found) == [" b…", "bc…", "bc…"]


def test_a_text_that_cannot_be_cut_is_an_ellipsis() -> None:
    """However long it is, it is looked through once; no more than fits into any message counts."""
    assert aps_alert(shaped(IOS, {"alert": "\u0301" * 40_000}, truncate=True)) == "…"


def test_a_device_s_values_change_nothing_else() -> None:
    """Whether its alert had to be shortened or not, a message is built by the same rules."""
    data = {"topic": "{{ v }}", "uri": "{{ v }}", "image": "{{ v }}"}
    for value in ("com.example.other", "https://evil.example/"):
        for device in (IOS, ANDROID, WINDOWS, ANDROID._replace(device_type="web")):
            one = device._replace(fields={"v": value})
            short = shaped(one, {**data, "alert": "Hi…"})
            long = shaped(one, {**data, "alert": "Hi" + "\u0301" * 9000}, truncate=True)
            assert without(long, "H…", "…") == without(short, "Hi…"), value


def without(made: object, *texts: str) -> str:
    found = repr(made)
    for text in texts:
        found = found.replace(repr(text.encode())[2:-1], "").replace(text, "")
    return found


@settings(max_examples=100, deadline=None)
@given(
    text=st.text(st.characters(), min_size=1, max_size=30),
    times=st.integers(1, 3000),
    device=st.sampled_from([IOS, ANDROID, WINDOWS]),
)
def test_whatever_the_text_it_fits(*, text: str, times: int, device: Device) -> None:
    """Of any text some beginning is sent, in every form."""
    content = {"data": {"alert": text * times, "k": "v"}, "truncate": True}
    try:
        check_content(content)
    except ContentError:
        return
    assert isinstance(shaper_of(content).shape(device), ApnsShape | FcmShape | WnsShape)
