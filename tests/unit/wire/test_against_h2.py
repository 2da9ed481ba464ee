"""Two ends joined by a pretend network: our core, and a server of python-hyper/h2."""

from collections.abc import Callable

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import DataReceived, Event, RequestReceived, StreamEnded
from hypothesis import given, settings as hypothesis_settings, strategies as st

from pushsvc.delivery.wire import Answered
from tests.unit.wire.played_peer import PlayedPeer

Answer = Callable[[H2Connection, int, bytes], None]


class Joined:
    """Everything one end writes, the other reads at once; h2 raises on whatever is illegal."""

    def __init__(self, *, piece: int = 10**9) -> None:
        self.client = PlayedPeer(greet=False)
        self.server = H2Connection(H2Configuration(client_side=False, header_encoding=None))
        self.server.initiate_connection()
        self.server.receive_data(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        for frame in self.client.greeting:
            self.server.receive_data(frame.serialize())
        self.bodies: dict[int, bytes] = {}
        self.paths: dict[int, bytes] = {}
        self.piece = piece

    def run(self, answer: Answer) -> None:
        """Carry bytes until both ends are silent; answer each request when it is complete."""
        while True:
            down = self.server.data_to_send()
            for at in range(0, len(down), self.piece):
                self.client.hear(down[at : at + self.piece])
            up = self.client.core.take()
            if not up and not down:
                return
            for at in range(0, len(up), self.piece):
                for event in self.server.receive_data(up[at : at + self.piece]):
                    self.hear(event, answer)

    def hear(self, event: Event, answer: Answer) -> None:
        """The server's end."""
        if isinstance(event, RequestReceived):
            assert event.stream_id is not None
            assert event.headers is not None
            self.bodies[event.stream_id] = b""
            self.paths[event.stream_id] = dict(event.headers)[b":path"]
        elif isinstance(event, DataReceived):
            assert event.stream_id is not None
            assert event.data is not None
            assert event.flow_controlled_length is not None
            self.bodies[event.stream_id] += event.data
            self.server.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, StreamEnded):
            assert event.stream_id is not None
            answer(self.server, event.stream_id, self.bodies[event.stream_id])


def echo(server: H2Connection, stream_id: int, body: bytes) -> None:
    """200 with the request's body, as far as the window goes."""
    fields = [(b":status", b"200"), (b"apns-id", b"%d" % stream_id), (b"server", b"h2")]
    server.send_headers(stream_id, fields, end_stream=not body)
    if body:
        server.send_data(stream_id, body, end_stream=True)


@given(
    sizes=st.lists(st.integers(0, 5_000), min_size=1, max_size=60),
    piece=st.sampled_from([10**9, 1_000, 13]),
)
@hypothesis_settings(max_examples=40)
def test_any_requests_are_answered_with_their_own(sizes: list[int], piece: int) -> None:
    """Bodies of any size, in any pieces: each request gets its own answer."""
    joined = Joined(piece=piece)
    bodies = {key: bytes([key]) * size for key, size in enumerate(sizes)}
    for key, body in bodies.items():
        while not joined.client.open(key, body):
            joined.run(echo)
    joined.run(echo)
    for key, body in bodies.items():
        answer = joined.client.verdict(key)
        assert isinstance(answer, Answered)
        assert (answer.status, answer.body) == (200, body)


def test_every_octet_alone() -> None:
    """The same when each octet is a read of its own, both ways (E3.1)."""
    joined = Joined(piece=1)
    for key in range(5):
        joined.client.open(key, b"body %d" % key)
    joined.run(echo)
    answers = [joined.client.verdict(key) for key in range(5)]
    assert [a.body for a in answers if isinstance(a, Answered)] == [
        b"body %d" % n for n in range(5)
    ]


def test_a_large_exchange() -> None:
    """Two thousand requests, more than every window many times over, both ways."""
    joined = Joined()
    for key in range(2_000):
        while joined.client.core.room() <= 0 or not joined.client.open(key, b"x" * 1_500):
            joined.run(echo)
    joined.run(echo)
    assert sum(isinstance(verdict, Answered) for [verdict] in joined.client.verdicts.values()) == (
        2_000
    )
