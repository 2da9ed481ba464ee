"""Each type of notification that the `wns` block can ask for, as WNS gets it."""

from datetime import timedelta
from typing import Any
from xml.etree import ElementTree as ET

import orjson
import pytest

from pushsvc.model import Device, Refused, WnsShape
from pushsvc.preview.request import request_of
from pushsvc.shaping.body import check_content
from tests.unit.shaping.one_device import NOW, WINDOWS, shaped, shaper_of

XML = ("Content-Type", "text/xml")
IMAGE = "https://example.com/i.png?a=1&b=2"
PHONE = WINDOWS._replace(device_type="winphone")
DOTNET = WINDOWS._replace(device_type="dotnet")


def shape(
    data: dict[str, Any], wns: dict[str, Any], *, device: Device = WINDOWS, **rest: Any
) -> WnsShape:
    made = shaped(device, data, wns=wns, **rest)
    assert isinstance(made, WnsShape), made
    return made


def test_toast() -> None:
    """Texts, image, launch and audio, and the header fields of a toast: the whole message."""
    made = shape(
        {"alert": {"title": "T", "subtitle": "S", "body": "B & C"}, "k": 1, "sound": "x"},
        {"image": IMAGE, "audio": "silent", "launch": 'go "there"', "ttl": 60, "priority": 1},
        collapse_id="Score1",
    )
    assert made.headers == (
        XML,
        ("X-WNS-Type", "wns/toast"),
        ("X-WNS-TTL", "60"),
        ("X-WNS-Tag", "Score1"),
        ("X-WNS-PRIORITY", "1"),
    )
    assert made.body.decode() == (
        '<toast launch="go &quot;there&quot;"><visual><binding template="ToastGeneric">'
        "<text>T</text><text>S</text><text>B &amp; C</text>"
        '<image src="https://example.com/i.png?a=1&amp;b=2" />'
        '</binding></visual><audio silent="true" /></toast>'
    )


def test_tile() -> None:
    """The same texts and image in every size, and what the app is told when it is opened."""
    made = shape(
        {"title": "T", "alert": "B", "image": IMAGE, "k": 1},
        {"type": "tile", "tag": "news1", "cache": False},
        expires_at=NOW + timedelta(hours=1),
    )
    assert made.headers == (
        XML,
        ("X-WNS-Type", "wns/tile"),
        ("X-WNS-Cache-Policy", "no-cache"),
        ("X-WNS-TTL", "3600"),
        ("X-WNS-Tag", "news1"),
    )
    inside = (
        '<image src="https://example.com/i.png?a=1&amp;b=2" placement="peek" />'
        '<text hint-wrap="true">T</text><text hint-wrap="true">B</text>'
    )
    assert made.body.decode() == (
        '<tile><visual arguments="{&quot;k&quot;:1}">'
        + "".join(
            f'<binding template="{template}">{inside}</binding>'
            for template in ("TileMedium", "TileWide", "TileLarge")
        )
        + "</visual></tile>"
    )


@pytest.mark.parametrize(
    ("data", "block", "own", "shown"),
    [
        pytest.param({"alert": "Hi"}, {"badge": "newMessage"}, None, "newMessage", id="glyph"),
        pytest.param({"alert": "Hi"}, {"badge": 100}, None, "100", id="99+"),
        pytest.param({"badge": 5}, {"badge": 0}, None, "0", id="before data's"),
        pytest.param({"badge": 5, "alert": "Hi"}, {"type": "badge"}, None, "5", id="data's"),
        pytest.param(
            {"badge": "Increment", "alert": "Hi"}, {"type": "badge"}, 7, "7", id="counted"
        ),
        pytest.param({"badge": "Increment"}, {"badge": "alert"}, 7, "alert", id="not counted"),
    ],
)
def test_badge(data: Any, block: dict[str, Any], own: int | None, shown: str) -> None:
    """A number or a glyph; WNS keeps it for a device that is away."""
    made = shape(data, block, device=WINDOWS._replace(badge=own))
    assert made.body.decode() == f'<badge value="{shown}" />'
    assert made.headers == (XML, ("X-WNS-Type", "wns/badge"), ("X-WNS-Cache-Policy", "cache"))


def test_a_badge_that_counts_needs_a_device_with_one() -> None:
    """A device that has no badge is refused, and is not shown a wrong number."""
    made = shaped(WINDOWS, {"badge": "Increment"}, wns={"type": "badge"})
    assert made == Refused(reason="MissingBadge")


@pytest.mark.parametrize(
    ("block", "body", "policy"),
    [
        pytest.param({"type": "raw"}, '{"alert":"Hi","k":"é"}', "no-cache", id="all of data"),
        pytest.param({"raw": "a=<b>&é"}, "a=<b>&é", "no-cache", id="a text, as it is"),
        pytest.param({"raw": {"x": [1]}, "cache": True}, '{"x":[1]}', "cache", id="an object"),
        pytest.param({"raw": {}}, "{}", "no-cache", id="an empty object is a payload"),
    ],
)
def test_raw(block: dict[str, Any], body: str, policy: str) -> None:
    """What the app gets is the caller's own, or what the push says but for Apple's keys."""
    made = shape({"alert": "Hi", "k": "é", "badge": "Increment"}, block)
    assert made.body.decode() == body
    assert made.headers == (
        ("Content-Type", "application/octet-stream"),
        ("X-WNS-Type", "wns/raw"),
        ("X-WNS-Cache-Policy", policy),
    )


@pytest.mark.parametrize(("raw", "seen"), [({"x": 1}, {"x": 1}), ("a=<b>", "a=<b>"), ("{", "{")])
def test_raw_data_is_seen_before_it_is_sent(raw: Any, seen: Any) -> None:
    """As JSON where it is JSON, and else as it stands."""
    assert request_of(WINDOWS, shape({"k": 1}, {"raw": raw})).body == seen


@pytest.mark.parametrize(
    ("device", "more"),
    [
        pytest.param(
            PHONE, (("X-WNS-Group", "news"), ("X-WNS-SuppressPopup", "true")), id="winphone"
        ),
        pytest.param(WINDOWS, (), id="winrt"),
        pytest.param(DOTNET, (), id="dotnet"),
    ],
)
def test_group_and_popup_are_said_to_phones_alone(
    device: Device, more: tuple[tuple[str, str], ...]
) -> None:
    """On any other channel WNS drops the notification and answers with an error."""
    made = shape({"alert": "Hi"}, {"group": "news", "suppress_popup": True}, device=device)
    assert made.headers == (XML, ("X-WNS-Type", "wns/toast"), *more)


@pytest.mark.parametrize(
    ("block", "lifetime", "ttl"),
    [
        pytest.param({"ttl": 60}, timedelta(hours=1), "60", id="the block's"),
        pytest.param({"ttl": 9999}, timedelta(hours=1), "3600", id="never beyond the push's end"),
        pytest.param({"ttl": 9999}, timedelta(0), "1", id="WNS takes no 0"),
    ],
)
def test_ttl(block: dict[str, Any], lifetime: timedelta, ttl: str) -> None:
    """The shorter of the two lives."""
    made = shape({"alert": "Hi"}, block, expires_at=NOW + lifetime)
    assert dict(made.headers)["X-WNS-TTL"] == ttl


@pytest.mark.parametrize(
    ("data", "src", "launch"),
    [
        pytest.param({"image": IMAGE}, IMAGE, None, id="data's image"),
        pytest.param({"image": "i.png"}, None, '{"image":"i.png"}', id="no URL: the app's own"),
        pytest.param({"image": IMAGE, "k": 1}, IMAGE, '{"k":1}', id="it is no argument then"),
    ],
)
def test_image_of_data(data: Any, src: str | None, launch: str | None) -> None:
    """`data.image` is shown where Windows could load it."""
    root = ET.fromstring(shape({"alert": "Hi", **data}, {}).body)
    image = root.find("visual/binding/image")
    assert (None if image is None else image.get("src"), root.get("launch")) == (src, launch)


NASTY = 'a"b\\c<d>&\n\x01\ufffee\N{SNOWMAN}'


def filled(content: dict[str, Any], **fields: Any) -> WnsShape | Refused:
    check_content(content)
    made = shaper_of(content).shape(WINDOWS._replace(fields=fields))
    assert isinstance(made, WnsShape | Refused)
    return made


def filled_toast(content: dict[str, Any], **fields: Any) -> ET.Element:
    made = filled(content, **fields)
    assert isinstance(made, WnsShape)
    return ET.fromstring(made.body)


def test_variables_in_texts_image_and_launch() -> None:
    """They are escaped as what they stand in asks, and lose what XML has not."""
    content = {
        "data": {"alert": "Hi {{ name }}", "title": "{{ name }}"},
        "wns": {"image": "https://x/{{ id }}", "launch": "{{ name }}"},
    }
    toast = filled_toast(content, name=NASTY, id="7&8")
    shown = NASTY.replace("\x01", "").replace("\ufffe", "")
    binding = toast.find("visual/binding")
    assert binding is not None
    assert [text.text for text in binding.findall("text")] == [shown, f"Hi {shown}"]
    assert [image.get("src") for image in binding.findall("image")] == ["https://x/7&8"]
    assert toast.get("launch") == shown


def test_variables_in_custom_keys_stay_json_within_the_launch() -> None:
    """JSON in an attribute of XML: a quote in a value ends neither."""
    launch = filled_toast({"data": {"alert": "Hi", "k": {"n": "{{ name }}"}}}, name=NASTY).get(
        "launch"
    )
    assert launch is not None
    # U+FFFE stands in JSON as itself, and XML has it not.
    assert orjson.loads(launch) == {"k": {"n": NASTY.replace("\ufffe", "")}}


def test_variables_in_raw_data() -> None:
    """An object stays JSON; a text is the caller's own, to the byte."""
    made = filled({"data": {"k": 1}, "wns": {"raw": {"n": "{{ name }}"}}}, name=NASTY)
    text = filled({"data": {"k": 1}, "wns": {"raw": "<{{ name }}>"}}, name=NASTY)
    assert isinstance(made, WnsShape)
    assert isinstance(text, WnsShape)
    assert (orjson.loads(made.body), text.body.decode()) == ({"n": NASTY}, f"<{NASTY}>")


def test_raw_data_is_never_empty() -> None:
    """WNS refuses an empty payload; a text that comes out so is refused before."""
    content = {"data": {"k": 1}, "wns": {"raw": "{{ name }}"}}
    assert filled(content, name="") == Refused(reason="PayloadEmpty")


def test_a_tile_repeats_its_texts_and_counts_them_all() -> None:
    """5000 bytes hold a text of about 1,500 three times."""
    assert len(shape({"alert": "a" * 1500}, {"type": "tile"}).body) < 5000
    made = shaped(WINDOWS, {"alert": "a" * 1700}, wns={"type": "tile"})
    assert made == Refused(reason="PayloadTooLarge")


def test_a_tile_is_shortened_until_it_fits() -> None:
    """`truncate` knows that each size of a tile has the text."""
    made = shape({"alert": "é" * 2000}, {"type": "tile"}, truncate=True)
    assert 4980 < len(made.body) <= 5000
    assert made.body.decode().count("…</text>") == 3
