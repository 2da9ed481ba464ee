"""Who gets which variant."""

from collections import Counter

from hypothesis import given, strategies as st

from pushsvc.model import HOLDOUT, Rules, Variant
from pushsvc.planning import variants


def rules(*weights: int, holdout: int = 0, salt: int = 1) -> Rules:
    named = [
        Variant(name=f"v{n}", weight=w, content={}, push_hash="") for n, w in enumerate(weights)
    ]
    return Rules(salt=salt, variants=tuple(named), holdout=holdout)


@given(
    st.lists(st.integers(0, 100), max_size=5).filter(lambda found: not found or any(found)),
    st.integers(0, 50),
    st.integers(-(2**63), 2**63 - 1),
    st.sets(st.integers(1, 2**62), max_size=200),
)
def test_every_device_has_one_variant_whoever_else_there_is(
    weights: list[int], holdout: int, salt: int, ids: set[int]
) -> None:
    """In order; one of weight 0 gets nobody; alone a device has the same one."""
    given_rules = rules(*weights, holdout=holdout, salt=salt)

    found = variants.split(given_rules, sorted(ids))

    assert sorted(number for some in found.values() for number in some) == sorted(ids)
    for name, some in found.items():
        assert list(some) == sorted(some)
        assert not some or variants.weights_of(given_rules)[name] > 0
        for number in list(some)[:3]:
            assert [n for n, one in variants.split(given_rules, [number]).items() if one] == [name]


def test_shares_are_those_of_the_weights() -> None:
    """Within four standard deviations, for ids that follow each other as ours do."""
    ids = range(1, 50_001)
    for salt in range(5):
        found = variants.split(rules(45, 45, holdout=10, salt=salt), ids)
        for name, share in (("v0", 0.45), ("v1", 0.45), (HOLDOUT, 0.10)):
            expected = share * len(ids)
            deviation = (expected * (1 - share)) ** 0.5
            assert abs(len(found[name]) - expected) < 4 * deviation


def test_another_salt_is_another_draw() -> None:
    """Whoever is in a variant under one salt is anywhere under the next."""
    ids = range(1, 20_001)
    first, second = (variants.split(rules(50, 50, salt=salt), ids) for salt in (1, 2))
    both = Counter(number in set(second["v0"]) for number in first["v0"][:2_000])
    assert 900 < both[True] < 1_100


def test_the_hash_is_that_of_splitmix64() -> None:
    """The first numbers of its reference generator from the seed 1234567."""
    seed, step = 1234567, 0x9E3779B97F4A7C15
    found = [variants.mixed(seed + n * step) for n in (1, 2, 3)]
    assert found == [6457827717110365317, 3203168211198807973, 9817491932198370423]


def test_a_holdout_without_variants_is_a_percentage() -> None:
    """The run's own content has the rest of a hundred."""
    found = variants.split(rules(holdout=25), range(10_000))
    assert found.keys() == {None, HOLDOUT}
    assert 2_300 < len(found[HOLDOUT]) < 2_700
    assert variants.split(None, [1, 2]) == {None: [1, 2]}
    assert variants.split(rules(), [1]) == {None: [1]}
