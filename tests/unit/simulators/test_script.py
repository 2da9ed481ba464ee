"""Rules strike the requests that their scope names, repeatably."""

from hypothesis import given, strategies as st

from pushsvc.simulators.faults import Marker
from pushsvc.simulators.script import Rule, Script


def strikes(script: Script, requests: int) -> list[bool]:
    """Which of the next requests of one connection are struck."""
    return [script.strike("apns", ordinal=ordinal + 1) is not None for ordinal in range(requests)]


@given(st.integers(1, 9), st.integers(0, 40))
def test_every_nth(n: int, requests: int) -> None:
    """`every` strikes each n-th request, no more and no fewer."""
    script = Script(seed=0)
    script.add(Rule(gateway="apns", scope="every", fault="ok", n=n))

    assert requests // n == sum(strikes(script, requests))


@given(st.integers(1, 9), st.integers(0, 40))
def test_next_n(n: int, requests: int) -> None:
    """`next` strikes the next n requests and is gone."""
    script = Script(seed=0)
    script.add(Rule(gateway="apns", scope="next", fault="ok", n=n))
    struck = strikes(script, requests)

    assert [True] * min(n, requests) + [False] * max(requests - n, 0) == struck
    assert (requests < n) == bool(script.rules())


@given(st.integers(), st.floats(0.1, 0.9))
def test_chance_is_repeatable(seed: int, probability: float) -> None:
    """The same seed strikes the same requests, also after a clearing."""
    rule = Rule(gateway="apns", scope="random", fault="ok", probability=probability)
    runs = []
    script = Script(seed=seed)
    for _ in range(2):
        script.add(rule)
        runs.append(strikes(script, 50))
        script.clear()

    assert runs[0] == runs[1]


def test_rules_are_for_one_gateway() -> None:
    """A rule for one gateway does not touch another; the first rule that strikes wins."""
    script = Script(seed=0)
    script.add(Rule(gateway="fcm", scope="every", fault="internal", parameter=3))
    script.add(Rule(gateway="fcm", scope="every", fault="slow"))

    assert script.strike("apns", ordinal=1) is None
    assert Marker("internal", 3) == script.strike("fcm", ordinal=1)


def test_rules_with_seconds_end_by_themselves() -> None:
    """After its seconds a rule strikes no more and is gone; the others stay."""
    clock = [0.0]
    script = Script(seed=0, clock=lambda: clock[0])
    script.add(Rule(gateway="apns", scope="every", fault="ok", seconds=2))
    script.add(Rule(gateway="apns", scope="every", fault="slow", n=2))
    before = script.strike("apns", ordinal=1)
    clock[0] = 2.0

    assert (before, script.strike("apns", ordinal=2)) == (Marker("ok", 0), Marker("slow", 0))
    assert [rule["fault"] for rule in script.rules()] == ["slow"]
