"""The bounds of one pool and its connections; each number with its reason."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a pool may use, and how long it waits for what."""

    #: A gateway dislikes many connections; one carries tens of thousands of requests a second.
    max_connections: int = 4
    #: Our own cap on open streams of one connection, whatever the peer allows.
    max_streams: int = 1000
    #: What we assume until the peer's SETTINGS arrive (RFC 9113 section 6.5.2 asks for >= 100).
    streams_before_settings: int = 100
    #: Open nothing until SETTINGS are in. APNs starts at one stream and punishes more.
    await_settings: bool = False
    #: Long-lived connections keep using an address that DNS has dropped; hours, as APNs advises.
    max_connection_age_seconds: float = 6 * 3600.0
    #: DNS, TCP and TLS together.
    connect_timeout_seconds: float = 10.0
    #: Our SETTINGS unacknowledged for so long: leave with SETTINGS_TIMEOUT. Liberal, since nothing
    #: of ours waits for it.
    settings_ack_seconds: float = 60.0
    #: Failed connects in a row after which waiting calls are given back as not processed.
    connect_attempts: int = 3
    #: The first pause after a failed connect; it doubles, with jitter, up to the most.
    backoff_first_seconds: float = 0.2
    backoff_most_seconds: float = 30.0
    #: Between two connections opened for growth: bursts of connects look like an attack.
    growth_spacing_seconds: float = 1.0
    #: Requests are out and nothing was heard for so long: ask with a PING. None: never (FCM).
    ping_after_seconds: float | None = 15.0
    #: Nothing is out: PING this often. None: never; Google answers too_many_pings.
    ping_idle_seconds: float | None = None
    #: A PING unanswered for so long means the connection is dead.
    ping_deadline_seconds: float = 10.0
    #: A deadline passed and nothing at all was heard for so long: use another connection.
    silence_seconds: float = 10.0
    #: The peer has read nothing for so long, and what we wrote still waits: it is dead.
    stalled_write_seconds: float = 30.0
    #: Response bodies of gateways are below 1 KiB; what is longer is cut.
    max_body_bytes: int = 64 * 1024
    #: As RFC 9113 counts it: name + value + 32 for every field; what is longer is cut.
    max_header_list_bytes: int = 16 * 1024
    #: The peer's HPACK table for responses. 0 lets us find most of them by their bytes; a peer that
    #: breaks that rule (h2o before 2.3) gets the protocol's 4,096 from its next connection on.
    response_table_bytes: int = 0
    #: What the peer may send us on one connection before we grant more.
    connection_window_bytes: int = 4 * 1024 * 1024
