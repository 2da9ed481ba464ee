"""Rows about the HTTP/2 wire alone, which are the same for every gateway that speaks it."""

from pushsvc.simulators import h2_behaviours as h2, illegal
from pushsvc.simulators.faults import Delivered, Fault

A, N = Delivered.YES, Delivered.NO

FRAMED = (
    Fault(0x51, "padded", h2.padded, A),
    Fault(0x52, "continuation", h2.continued, A),
)
AROUND = (
    Fault(0x5C, "informational", h2.informed, A),
    Fault(0x5D, "trailers", h2.trailed, A),
    Fault(0x5E, "dyn_headers", h2.tabled, A),
)
SETTINGS = (
    Fault(0x60, "settings_seq", h2.limits_in_turn(1, 1000, 1, 0, 1000), A),
    Fault(0x61, "window_shrink", h2.window_shrunk, A),
    Fault(0x62, "window_starved", h2.starved, A),
    Fault(0x63, "table_size", h2.table_shrunk, A),
    Fault(0x64, "ping", h2.pinged, A),
    Fault(0x65, "unknown_frames", h2.unknown, A),
)
ILLEGAL = (
    Fault(0x70, "push_promise", h2.say(illegal.push_promise), N),
    Fault(0x71, "settings_length", h2.say(illegal.settings_length), N),
    Fault(0x72, "headers_on_zero", h2.say(illegal.headers_on_zero), N),
    Fault(0x73, "even_stream", h2.say(illegal.even_stream), N),
    Fault(0x74, "interleaved", h2.say(illegal.interleaved), N),
    Fault(0x75, "hpack_garbage", h2.say(illegal.hpack_garbage), N),
    Fault(0x76, "window_illegal", h2.window_illegal, N),
    Fault(0x77, "data_past_window", h2.say(illegal.data_past_window), N),
    Fault(0x78, "oversize_frame", h2.say(illegal.oversize_frame), N),
    Fault(0x79, "reset_idle", h2.say(illegal.reset_idle), N),
    Fault(0x7A, "data_idle", h2.say(illegal.data_idle), N),
    Fault(0x7B, "settings_flood", h2.say(illegal.settings_flood), N),
    Fault(0x7C, "ping_flood", h2.say(illegal.ping_flood), N),
    Fault(0x7D, "continuation_flood", h2.say(illegal.continuation_flood), N),
    Fault(0x7E, "hpack_bomb", h2.say(illegal.hpack_bomb), N),
    Fault(0x7F, "interim_end", h2.say(illegal.interim_end), N),
)
