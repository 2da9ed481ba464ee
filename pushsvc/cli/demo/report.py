"""What a demo came to: a table, a line about the ledgers, and how to go on."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.table import Table

from pushsvc.cli.demo.compare import Comparison
from pushsvc.cli.demo.sending import PUSH, Sent
from pushsvc.cli.demo.stage import PARSE_MOUNT, Cast
from pushsvc.cli.display import table
from pushsvc.model import Outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class Addresses:
    """Where everything listens."""

    url: str
    control_url: str


def as_json(sent: Sent, comparison: Comparison, *, matches: bool) -> dict[str, Any]:
    """Return the result as one object."""
    devices = sent.push["devices"]
    return {
        "devices": devices,
        "outcomes": {word: n for word, n in sent.push["counts"].items() if word != "open"},
        "by_platform": sent.push["by_device_type"],
        "ledger_match": matches,
        "mismatched": comparison.mismatched,
        "mismatches": comparison.mismatches,
        "seconds": round(sent.seconds, 3),
        "seconds_to_95_percent": round(sent.seconds_to_most, 3),
        "pushes_per_second": round(devices / sent.seconds, 1),
    }


def shown(sent: Sent, comparison: Comparison, *, matches: bool) -> list[str | Table]:
    """Return the result for people; the line about the ledgers is the last."""
    told = as_json(sent, comparison, matches=matches)
    rate = (
        f"95 % of {told['devices']:,} devices had their outcome after "
        f"{told['seconds_to_95_percent']:.1f} s, all after {told['seconds']:.1f} s: "
        f"{told['pushes_per_second']:,.0f} a second, faults and waits included."
    )
    lines: list[str | Table] = [
        outcomes(told["by_platform"], told["outcomes"]),
        reasons(comparison),
        rate,
    ]
    if not matches:
        lines += [f"{comparison.mismatched} mismatches, the first of them:"]
        lines += [f"  {one}" for one in comparison.mismatches]
    return [*lines, f"ledger: {'match' if matches else 'MISMATCH'}"]


def outcomes(by_platform: Mapping[str, Mapping[str, int]], sums: Mapping[str, int]) -> Table:
    """Return the table of platforms and outcomes."""
    columns = [word.value for word in Outcome if sums.get(word)]
    rows: list[Sequence[object]] = [
        [name, *(words.get(c, 0) for c in columns), sum(words.values())]
        for name, words in [*sorted(by_platform.items()), ("all", sums)]
    ]
    return table(("platform", *columns, "devices"), rows)


def reasons(comparison: Comparison) -> Table:
    """Return the table of what kept devices from being sent to."""
    rows = [(name, reason, n) for (name, reason), n in sorted(comparison.reasons.items())]
    return table(("platform", "not sent because", "devices"), rows)


def living(addresses: Addresses, cast: Cast) -> dict[str, str]:
    """Return what one needs to talk to the demo that goes on."""
    return {
        "url": addresses.url,
        "control_url": addresses.control_url,
        "application_id": cast.app.application_id,
        "master_key": cast.keys["master"],
        "api_key": cast.keys["api"],
    }


def manual(addresses: Addresses, cast: Cast, push_id: str) -> str:
    """Return commands to try on the demo that goes on; each works as it stands."""
    again = json.dumps({**PUSH, "data": {"alert": "Hello again", "badge": "Increment"}})
    return f"""\
Everything goes on running until Ctrl-C.

The API listens on {addresses.url}, the simulators' ledger on {addresses.control_url}.

The push, and what came of it:

  curl -s {addresses.url}/v1/pushes/{push_id} -H 'Authorization: Bearer {cast.keys["api"]}'

Another push:

  curl -s -i {addresses.url}{PARSE_MOUNT}/push -H 'Content-Type: application/json' \\
    -H 'X-Parse-Application-Id: {cast.app.application_id}' \\
    -H 'X-Parse-Master-Key: {cast.keys["master"]}' \\
    -d '{again}'

What the gateways saw:

  curl -s {addresses.control_url}/stats
"""
