"""The ledger adds up, whatever the order of events."""

import pytest
from hypothesis import given, strategies as st

from pushsvc.simulators.gateway import as_text
from pushsvc.simulators.ledger import Entry, Ledger


def entry(token: str = "t", identity: bytes = b"1", gateway: str = "apns") -> Entry:
    return Entry(
        time=0.0, gateway=gateway, connection=1, stream=1, token=token, message_id="m",
        identity=identity,
    )  # fmt: skip


def small() -> Ledger:
    return Ledger(entries=100, tokens=100)


def test_duplicates_are_the_same_message_to_the_same_token() -> None:
    """Two deliveries are a duplicate if token and message are the same, not otherwise."""
    ledger = small()
    for given_entry in (
        entry("a", b"1"), entry("a", b"1"), entry("a", b"2"), entry("b", b"1"),
        entry("a", b"1", gateway="fcm"),
    ):  # fmt: skip
        ledger.open(given_entry)
        ledger.deliver(given_entry)

    assert (ledger.sums("apns").delivered, ledger.sums("apns").duplicates) == (4, 1)
    assert (ledger.sums("fcm").delivered, ledger.sums("fcm").duplicates) == (1, 0)


def test_retracting_takes_a_delivery_back() -> None:
    """A retracted delivery was none, and what is delivered again then is no duplicate."""
    ledger = small()
    first, second = entry(), entry()
    for one in (first, second):
        ledger.open(one)
    ledger.deliver(first)
    ledger.deliver(first)
    ledger.retract(first)
    ledger.retract(first)
    ledger.deliver(second)

    summary = ledger.summary("apns", "t")
    assert summary is not None
    assert (summary.delivered, summary.duplicates, summary.attempts) == (1, 0, 2)
    assert (first.delivered, second.delivered) == (False, True)


EVENTS = st.lists(st.tuples(st.sampled_from("ab"), st.booleans(), st.booleans()), max_size=30)


@given(EVENTS)
def test_sums_by_token_equal_the_sums_by_gateway(events: list[tuple[str, bool, bool]]) -> None:
    """Whatever is opened, delivered and retracted, tokens and gateway add up to the same."""
    ledger = small()
    for token, taken, disowned in events:
        one = entry(token)
        ledger.open(one)
        if taken:
            ledger.deliver(one)
        if disowned:
            ledger.retract(one)
        ledger.settle(one, status=200, reason="")

    summaries, _ = ledger.token_page(gateway=None, after=0, limit=100)
    entries, _ = ledger.page(gateway=None, token=None, after=0, limit=100)
    counts = ledger.sums("apns")
    assert counts.requests == sum(one.attempts for one in summaries) == len(events)
    assert counts.delivered == sum(one.delivered for one in summaries)
    assert counts.delivered == sum(one.delivered for one in entries)
    assert counts.duplicates == sum(max(one.delivered - 1, 0) for one in summaries)


@given(st.integers(0, 25), st.integers(1, 10))
def test_pages_join_to_the_whole(count: int, limit: int) -> None:
    """Pages of any size, read by cursor, give every entry once and in order."""
    ledger = small()
    for number in range(count):
        ledger.open(entry(str(number)))
    seen: list[int] = []
    after: int | None = 0
    while after is not None:
        page, after = ledger.page(gateway="apns", token=None, after=after, limit=limit)
        seen += [one.seq for one in page]

    assert list(range(1, count + 1)) == seen


def test_full_ledger_watches_no_more_duplicates() -> None:
    """Beyond its bounds the ledger only counts, strikes no more, and says that it is truncated."""
    ledger = Ledger(entries=1, tokens=1)
    first, second = entry("a"), entry("b")
    for one in (first, second):
        ledger.open(one)
        ledger.deliver(one)
        ledger.settle(one, status=200, reason="")

    assert ledger.truncated
    assert (ledger.sums("apns").delivered, first.seq, second.seq) == (2, 1, 0)
    assert (ledger.strike(first), ledger.strike(second)) == (1, 0)
    assert ledger.summary("apns", "b") is None


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        pytest.param(b"bearer eyJhbGciOi", "bearer 1f2e", id="its scheme and a digest"),
        pytest.param(b"eyJhbGciOi", "1f2e", id="without a scheme, the digest alone"),
    ],
)
def test_a_bearer_token_stays_out_of_the_ledger(sent: bytes, kept: str) -> None:
    """Who reads the ledger must not be able to send with what a sender has shown."""
    fields = as_text({b":path": b"/3/device/aa", b"authorization": sent}, "1f2e")

    assert list(fields) == [(":path", "/3/device/aa"), ("authorization", kept)]


def test_fields_that_repeat_are_held_once() -> None:
    """A broadcast's fields cost memory once, and its paths each their own."""
    fields = {b"apns-topic": b"com.example", b"authorization": b"bearer eyJ0"}
    first, second = (
        tuple(as_text(fields | {b":path": b"/%d" % number}, "1f2e")) for number in range(2)
    )

    assert [one is other for one, other in zip(first, second, strict=True)] == [True, True, False]
    assert first == (
        ("apns-topic", "com.example"), ("authorization", "bearer 1f2e"), (":path", "/0"),
    )  # fmt: skip
