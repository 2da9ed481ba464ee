"""What a halt means to the clock and to those who lease, in SQL: one word for all statements."""

from typing import Final

#: Of `pushes`: its plan may be taken up. One that is paused and has expired goes on to its end.
MAY_PLAN: Final = "(pushes.halt IS NULL OR pushes.halt = 'pause' AND pushes.expires_at <= now())"

#: Of `batches` and the push's halt and expiry: it may be leased. What a worker has died over is
#: taken over in any case: nothing is sent then, and its journal does not wait for ever.
_MAY_LEASE: Final = """
    ({halt} IS NULL OR batches.leases > 0
        OR {halt} = 'pause' AND coalesce(batches.expires_at, {expires_at}) <= now())
"""
#: beside `pushes`
MAY_LEASE: Final = _MAY_LEASE.format(halt="pushes.halt", expires_at="pushes.expires_at")


def may_lease(*, halt: str, expires_at: str) -> str:
    """Return the condition for parameters of these names in place of the push's row."""
    return _MAY_LEASE.format(halt=halt, expires_at=expires_at)
