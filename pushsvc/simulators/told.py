"""The SETTINGS of one connection: what was told, and from when on its sender is held to it."""

from collections import deque

from h2.connection import H2Connection
from h2.settings import SettingCodes
from hyperframe.frame import SettingsFrame

STREAMS = SettingCodes.MAX_CONCURRENT_STREAMS
#: What h2 itself holds senders to. The limit of streams is not among it: h2 would end the
#: connection where a gateway refuses the stream.
HELD_BY_H2 = (SettingCodes.HEADER_TABLE_SIZE, SettingCodes.INITIAL_WINDOW_SIZE)


class Told:
    """Settings in the order in which they were told; each waits for its ACK (RFC 9113, 6.5.3).

    The frames are made by hand. h2 takes one value of each setting with every ACK, so it is given
    one with every frame, new or not.
    """

    def __init__(self, core: H2Connection, streams: tuple[int, int]) -> None:
        self._ours = core.local_settings
        self._last = {name: self._ours[name] for name in HELD_BY_H2}
        self._at_first, self._authorised_limit = streams
        self._authorised = self._at_first == self._authorised_limit
        self._limits: deque[int] = deque()
        #: The highest limit that has been told and may hold by the next write.
        self._granted = self._at_first
        #: Streams a sender may have open.
        self.limit = self._at_first

    def first(self, others: dict[int, int]) -> SettingsFrame:
        """The frame that opens the connection."""
        return self.frame({STREAMS: self._at_first, **others})

    def authorised(self) -> SettingsFrame | None:
        """The frame with the limit of authorised senders, once."""
        if self._authorised:
            return None
        self._authorised = True
        return self.frame({STREAMS: self._authorised_limit})

    def frame(self, settings: dict[int, int]) -> SettingsFrame:
        """The frame that tells these settings."""
        for name in HELD_BY_H2:
            self._ours[name] = self._last[name] = settings.get(name, self._last[name])
        limit = settings.get(STREAMS, self._limits[-1] if self._limits else self.limit)
        self._limits.append(limit)
        self._granted = max(self._granted, limit)
        return SettingsFrame(0, settings=settings)

    def written(self) -> None:
        """A limit that was raised holds as soon as that is written."""
        self.limit = self._granted

    def acknowledged(self) -> None:
        """A limit that was lowered holds now, unless a higher one has been told since."""
        if self._limits:
            self.limit = self._granted = max(self._limits)
            self._limits.popleft()
