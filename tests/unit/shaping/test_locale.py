"""A device is spoken to in the longest of the content's locales that fits its own."""

from typing import Any

import orjson
import pytest
from hypothesis import given, settings, strategies as st

from pushsvc.model import ApnsShape
from pushsvc.shaping.locale import fallbacks, tag_of
from tests.unit.shaping.one_device import IOS, shaped

TAGS = st.from_regex(
    r"[a-zA-Z]{2,3}([-_][a-zA-Z]{4})?([-_]([a-zA-Z]{2}|[0-9]{3}))?", fullmatch=True
)


def payload(data: dict[str, Any], locale: str | None) -> dict[str, Any]:
    made = shaped(IOS._replace(locale=locale), data)
    assert isinstance(made, ApnsShape)
    body: dict[str, Any] = orjson.loads(made.body)
    return body


@pytest.mark.parametrize(
    ("locale", "alert"),
    [
        pytest.param(None, "default", id="none"),
        pytest.param("", "default", id="empty"),
        pytest.param("de-DE", "default", id="another language"),
        pytest.param("fr", "fr", id="language"),
        pytest.param("fr-BE", "fr", id="language of an unknown region"),
        pytest.param("fr-CA", "fr-CA", id="region"),
        pytest.param("FR_ca", "fr-CA", id="any case, underscore"),
        pytest.param("fr-CA-u-ca-gregory", "fr-CA", id="extensions"),
        pytest.param("fr_CA@calendar=japanese", "fr-CA", id="ICU keywords"),
        pytest.param("en_US_POSIX", "default", id="POSIX"),
        pytest.param("fra", "default", id="a longer language"),
        pytest.param("french", "default", id="no tag"),
        pytest.param("zh-Hant-TW", "zh-TW", id="script left out"),
        pytest.param("zh-Hans-TW", "zh-Hans", id="script before region"),
        pytest.param("es-419", "es-419", id="UN region"),
    ],
)
def test_longest_match(locale: str | None, alert: str) -> None:
    """fr-CA falls back on fr, and fr on the text without a tag; order and case do not matter."""
    data = {
        "alert-fr": "fr",
        "alert": "default",
        "alert-fr_CA": "fr-CA",
        "alert-zh-TW": "zh-TW",
        "alert-zh-hans": "zh-Hans",
        "alert-ES-419": "es-419",
    }
    assert {"aps": {"alert": alert}} == payload(data, locale)


def test_each_key_falls_back_on_its_own() -> None:
    """A title in fr goes with an alert in fr-CA."""
    data = {"alert": "a", "title": "t", "alert-fr-CA": "allo", "title-fr": "titre"}
    assert payload(data, "fr-CA") == {"aps": {"alert": {"body": "allo", "title": "titre"}}}
    assert payload(data, "fr-FR") == {"aps": {"alert": {"body": "a", "title": "titre"}}}


def test_variant_without_default() -> None:
    """A text that only exists in one language is only sent to that language."""
    data = {"content-available": 1, "alert-fr": "salut"}
    assert payload(data, "fr") == {"aps": {"alert": "salut", "content-available": 1}}
    assert payload(data, "en") == {"aps": {"content-available": 1}}


def test_empty_variant_counts_for_nothing() -> None:
    """An empty text falls back, and is not sent."""
    assert payload({"alert": "a", "alert-fr": ""}, "fr") == {"aps": {"alert": "a"}}


@pytest.mark.parametrize(
    "custom",
    [
        pytest.param({"alert-color": "red"}, id="no tag"),
        pytest.param({"alert-": "x"}, id="nothing"),
        pytest.param({"alert-fr-": "x"}, id="an open end"),
        pytest.param({"alert-fr-canada": "x"}, id="no region"),
        pytest.param({"alert-id": 5}, id="no text"),
        pytest.param({"title-loc-args": ["x"]}, id="Apple's key"),
        pytest.param({"title-fr": {"a": 1}}, id="a title is no object"),
        pytest.param({"sound-fr": "x"}, id="another key"),
        pytest.param({"alert-" + "fr" * 50: "x"}, id="long"),
    ],
)
def test_custom_keys_survive(custom: dict[str, Any]) -> None:
    """A key that only begins like a locale variant is custom."""
    assert {"aps": {"alert": "a"}, **custom} == payload({"alert": "a", **custom}, "fr")


def test_alert_objects_have_variants() -> None:
    """An alert in its long form can be localised as well."""
    data = {"alert": "a", "alert-fr": {"body": "salut", "loc-key": "k"}}
    assert payload(data, "fr") == {"aps": {"alert": {"body": "salut", "loc-key": "k"}}}


@pytest.mark.parametrize("locale", ["french", "f", "fr4", "-fr", "日本"])
def test_no_locale(locale: str) -> None:
    """What only begins like a language is none."""
    assert fallbacks(locale) == ()


@settings(deadline=None)
@given(TAGS)
def test_a_tag_fits_itself_best(tag: str) -> None:
    """Whatever a key can name, a device of just that locale gets it."""
    named = tag_of(tag)
    assert named is not None
    assert fallbacks(tag)[0] == named
    assert fallbacks(f"{tag}-u-nu-latn")[0] == named


@settings(deadline=None)
@given(st.text())
def test_any_locale_has_few_fallbacks(locale: str) -> None:
    """A device may say anything; at most four tags come of it, from long to short."""
    tags = fallbacks(locale)
    assert len(tags) <= 4
    assert len(set(tags)) == len(tags)
    assert all(tag_of(tag) == tag for tag in tags)
    assert not tags or tags[-1] == min(tags, key=len)
