"""How python-hyper's h2 is set up for a gateway, and a watch on what senders put into its table."""

from collections.abc import Mapping
from itertools import takewhile

from h2.config import H2Configuration
from h2.connection import (
    ConnectionInputs,
    ConnectionState,
    H2Connection,
    H2ConnectionStateMachine,
)
from h2.settings import SettingCodes, Settings

from pushsvc.simulators import h2_validation

#: Apple's value; Google's is not documented.
MAX_HEADER_LIST_BYTES = 8000
UNLIMITED_STREAMS = 2**31 - 1
#: Apple asks not to index them: each device has its own path, and the token is long.
NOT_TO_INDEX = (b":path", b"authorization")

# h2 lets nothing pass after a GOAWAY, but its sender is still owed answers (RFC 9113, 6.8).
_OPEN, _GOAWAY = ConnectionState.SERVER_OPEN, ConnectionInputs.RECV_GOAWAY
TRANSITIONS = H2ConnectionStateMachine._transitions | {  # noqa: SLF001 - h2 has no option for it
    (_OPEN, _GOAWAY): (None, _OPEN)
}


h2_validation.install()


def new_h2() -> H2Connection:
    """The server side of a connection; its SETTINGS are sent by the caller.

    It is told of no limit of streams: it would end the connection where a gateway refuses the
    stream. Our own answers are not validated: they are right by construction, or wrong on purpose.
    """
    core = H2Connection(
        H2Configuration(
            client_side=False,
            header_encoding=None,
            validate_outbound_headers=False,
            normalize_outbound_headers=False,
        )
    )
    core.local_settings = Settings(
        client=False, initial_values={SettingCodes.MAX_CONCURRENT_STREAMS: UNLIMITED_STREAMS}
    )
    core.state_machine._transitions = TRANSITIONS  # noqa: SLF001 - see there
    core.decoder.max_header_list_size = MAX_HEADER_LIST_BYTES
    return core


class IndexWatch:
    """Notes which fields the latest header blocks have put into the HPACK dynamic table."""

    def __init__(self, core: H2Connection) -> None:
        self._table = core.decoder.header_table
        self._newest: tuple[bytes, bytes] | None = None
        self._fresh: set[tuple[bytes, bytes | None]] = set()

    def look(self) -> None:
        """Call after each feed."""
        entries = self._table.dynamic_entries
        newest = entries[0] if entries else None
        self._fresh.clear()
        if newest is not self._newest:
            self._fresh.update(takewhile(lambda entry: entry is not self._newest, entries))
            self._newest = newest

    def indexed(self, fields: Mapping[bytes, bytes]) -> tuple[bytes, ...]:
        """Names of the fields of this request that should not have been indexed, and were."""
        if not self._fresh:
            return ()
        return tuple(name for name in NOT_TO_INDEX if (name, fields.get(name)) in self._fresh)
