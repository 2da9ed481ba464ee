"""Cohorts of an audience, and what each of them gets."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pytest

from pushsvc.model import Credential, Device, GatewayName
from pushsvc.preview.estimate import DEFAULT, FCM_MESSAGES_PER_SECOND, of_pace
from pushsvc.preview.reach import LOCALES_MOST, Cohort, Judge, Reach, address_of_kind, worded
from pushsvc.shaping.body import Envelope, Shaper
from pushsvc.shaping.forms import Form
from pushsvc.storage import reach as kinds

NOW = datetime(2026, 11, 22, 10, tzinfo=UTC)
CREDENTIALS = [
    Credential(id=1, app_id=1, gateway=gateway, public={}, secret="") for gateway in GatewayName
]


def cohort(kind: str, device_type: str = "ios", *, n: int = 1, **columns: Any) -> Cohort:
    """So many devices of one kind."""
    app, locale = columns.pop("app", "a.b"), columns.pop("locale", None)
    device = Device(0, device_type, address_of_kind(kind), app, locale, 1)
    return Cohort(device=device, n=n, member=1, **columns)


def reached(
    *cohorts: Cohort,
    data: dict[str, Any] | None = None,
    credentials: Sequence[Credential] = CREDENTIALS,
) -> Reach:
    """The sums over these."""
    envelope = Envelope(push_id=0, push_object_id="", created_at=NOW, expires_at=None, now=NOW)
    reach = Reach()
    judge = Judge(Shaper({"data": data or {"alert": "x"}}, envelope), credentials)
    for one in cohorts:
        judge.add(one, reach)
    return reach


@pytest.mark.parametrize(
    ("one", "reason"),
    [
        (cohort(kinds.HEX), None),
        (cohort(kinds.OTHER), "bad_device_token"),
        (cohort(kinds.NO_TOKEN), "no_token"),
        (cohort(kinds.HEX, retired=True), "token_retired"),
        (cohort(kinds.NO_TOKEN, retired=True), "token_retired"),
        (cohort(kinds.HEX, is_double=True), "duplicate_token"),
        (cohort(kinds.NO_TOKEN, "unknown", is_absent=True), "no_installation"),
        (cohort(kinds.COLON, "embedded"), "unknown_device_type"),
        (cohort(kinds.HEX, app=None), "missing_topic"),
        (cohort(kinds.COLON, "android"), None),
        (cohort(kinds.BRACE), None),
        (cohort(kinds.BRACE, "web"), "web_push_subscription"),
        (cohort(kinds.BARE_BRACE), "bad_device_token"),
        (cohort(kinds.BARE_BRACE, "web"), "web_push_subscription"),
        (cohort(kinds.CHANNEL, "winrt"), None),
        (cohort(kinds.URI, "winrt"), "bad_channel_uri"),
        (cohort(kinds.RETIRED_CHANNEL, "winphone"), "provider_retired"),
    ],
)
def test_each_kind_of_device_is_sent_to_or_says_why_not(one: Cohort, reason: str | None) -> None:
    """As the delivery would find it."""
    reach = reached(one)

    assert dict(reach.excluded) == ({reason: 1} if reason else {})
    assert reach.devices == (0 if reason else 1)


@pytest.mark.parametrize(
    ("one", "reason"),
    [
        (cohort(kinds.HEX), "no_credential"),
        (cohort(kinds.CHANNEL, "winrt"), "no_credential"),
        (cohort(kinds.URI, "winrt"), "bad_channel_uri"),
        (cohort(kinds.RETIRED_CHANNEL, "winphone"), "provider_retired"),
    ],
)
def test_a_channel_that_nobody_serves_misses_no_credential(one: Cohort, reason: str) -> None:
    """Another one would change nothing for it."""
    assert dict(reached(one, credentials=[]).excluded) == {reason: 1}


def test_the_example_is_one_that_is_sent_to_where_there_is_one() -> None:
    """Else one that would be."""
    unsent = Cohort(device=cohort(kinds.OTHER).device, n=9, member=7)
    sent = Cohort(device=cohort(kinds.HEX).device, n=2, member=8)
    later = Cohort(device=cohort(kinds.HEX).device, n=1, member=9)
    key = (Form.APNS, (None, None))

    assert reached(unsent).seen[key].member == 7
    assert reached(unsent, sent, later).seen[key].member == 8
    assert reached(unsent, sent, later).seen[key].devices == 3


def test_texts_with_variables_count_as_empty() -> None:
    """So a fixed part that is too large is too large for all, and a missing variable for none."""
    assert reached(cohort(kinds.HEX), data={"alert": "{{ name }}"}).devices == 1
    large = {"alert": "{{ name }}", "more": "x" * 4096}
    assert dict(reached(cohort(kinds.HEX), data=large).excluded) == {"too_large": 1}


def test_an_empty_locale_is_none() -> None:
    """An SDK may send either."""
    reach = reached(cohort(kinds.HEX), cohort(kinds.HEX, locale=""))

    assert reach.locales == {None: {"ios": 2}}


def test_locales_are_counted_one_by_one_up_to_a_bound() -> None:
    """All that a client may write there is counted, but not kept."""
    many = (cohort(kinds.HEX, locale=f"x{n}") for n in range(LOCALES_MOST + 5))

    reach = reached(*many)

    assert (len(reach.locales), reach.of_other_locales) == (LOCALES_MOST, 5)
    assert reach.devices == LOCALES_MOST + 5


def test_reasons_are_written_as_keys() -> None:
    """Those of the ledger."""
    assert worded("PayloadTooLarge") == "too_large"
    assert worded("BadDeviceToken") == "bad_device_token"
    assert worded("provider_retired") == "provider_retired"


def test_fcm_s_quota_bounds_the_estimate() -> None:
    """However fast pushes went out before."""
    reach = reached(cohort(kinds.COLON, "android", n=int(FCM_MESSAGES_PER_SECOND) * 3))

    fast = of_pace(reach, 1e6, based_on=DEFAULT)
    slow = of_pace(reach, 1_000, based_on=DEFAULT)

    assert (fast.seconds, fast.messages_per_second) == (3.0, FCM_MESSAGES_PER_SECOND)
    assert (slow.seconds, slow.messages_per_second) == (30.0, 1_000)
    assert of_pace(Reach(), 1_000, based_on=DEFAULT).seconds == 0
