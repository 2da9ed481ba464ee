"""A report from tallies: ends are final, hours have shares, and nothing is lost."""

from datetime import UTC, datetime

from hypothesis import given, strategies as st

from pushsvc.model import HOLDOUT, OUTCOME_OF, Dimension, OpenTally, Outcome, OutcomeClass, Tally
from pushsvc.stats.report import FAILED, Reasoned, build, final_reasons, tallies_of

C = OutcomeClass
REASONS = ("Unregistered", "Shutdown", "")


@given(
    st.lists(st.tuples(st.sampled_from(list(C)), st.sampled_from((*REASONS, None))), max_size=40)
)
def test_each_failure_has_one_reason(ends: list[tuple[OutcomeClass, str | None]]) -> None:
    """The last one's, or an empty one; what is carried on or ended in another way has none."""
    exceptions: dict[str, list[int]] = {}
    for place, (_, reason) in enumerate(ends):
        if reason is not None:
            exceptions.setdefault(reason, []).append(place)

    found = final_reasons(bytes(end for end, _ in ends), exceptions)

    for reason in REASONS:
        for failed in FAILED:
            expected = sum((end, why or "") == (failed, reason) for end, why in ends)
            assert found[reason, failed] == expected
    assert found.total() == sum(OUTCOME_OF.get(end) is Outcome.FAILED for end, _ in ends)


def test_lines_are_in_order_and_hours_have_shares_of_the_whole() -> None:
    """The holdout behind the variants, what is not known behind all."""
    at = datetime(2026, 11, 22, 10, tzinfo=UTC)
    tallies = [
        Tally(Dimension.RUN, 7, C.OK, 8),
        Tally(Dimension.RUN, 7, C.HOLDOUT, 2),
        Tally(Dimension.RUN, 7, C.OPEN, 1),
        *(Tally(Dimension.VARIANT, name, C.OK, 4) for name in ("z", "i")),
        Tally(Dimension.VARIANT, HOLDOUT, C.HOLDOUT, 2),
        Tally(Dimension.HOUR, at, C.OK, 8),
        Tally(Dimension.ZONE, None, C.OK, 8),
    ]
    opened = [
        OpenTally(Dimension.RUN, 7, 4),
        OpenTally(Dimension.HOUR, at.replace(hour=11), 4),
        OpenTally(Dimension.VARIANT, "z", 3),
        OpenTally(Dimension.VARIANT, None, 1),
    ]

    report = build(tallies, opened, Reasoned(), of_runs=True)

    assert (report.total.audience, report.total.open, report.total.open_rate) == (11, 1, 0.5)
    variants = {line.value: line.open_rate for line in report.by[Dimension.VARIANT]}
    assert list(variants.items()) == [("i", 0.0), ("z", 0.75), (HOLDOUT, None), (None, None)]
    hours = [(line.value, line.open_rate) for line in report.by[Dimension.HOUR]]
    assert hours == [(at, 0.0), (at.replace(hour=11), 0.5)]
    assert report.by[Dimension.ZONE] == ()
    assert report.by[Dimension.PLATFORM] == ()

    nobody = build(tallies, [], Reasoned(), of_runs=True)

    told = [line.opens for by in nobody.by.values() for line in by]
    assert (set(told), nobody.total.open_rate) == ({0}, 0.0)


def test_counts_alone_make_a_report() -> None:
    """By platform, and in all."""
    counts = {"ios": {C.OK: 3, C.RESENT: 1}, "android": {C.TOKEN_DEAD: 2}}

    report = build(tallies_of(1, counts), [], Reasoned(), of_runs=False)

    assert report.total.audience == 5
    assert [line.value for line in report.by[Dimension.PLATFORM]] == ["android", "ios"]
    assert [line.opens for line in report.by[Dimension.PLATFORM]] == [None, None]
    assert not report.by[Dimension.HOUR]
