"""The ledger on disk is what was delivered, whatever a kill has done to it."""

from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

from pushsvc.simulators.ledger import Ledger
from pushsvc.simulators.ledger_file import LedgerFile, identity_of, read_deliveries, told
from tests.unit.simulators.test_ledger import entry, small

ID = "5f6cf2a4-5e4c-4b2b-a4fb-0c3f6a1a1f00"


@contextmanager
def kept(path: Path) -> Iterator[Ledger]:
    """A ledger that is kept in a file, as `Simulators` does it."""
    ledger = small()
    before = read_deliveries(path).by_message
    file = LedgerFile(path, now=lambda: 1.5)
    ledger.keep(
        file, {(one, two, identity_of(three)): n for (one, two, three), n in before.items()}
    )
    yield ledger
    file.close()


def deliver(ledger: Ledger, *tokens: str) -> None:
    for token in tokens:
        one = entry(token, ID.encode())
        ledger.open(one)
        ledger.deliver(one)


async def test_a_line_for_each_change_before_the_answer(tmp_path: Path) -> None:
    """Deliveries and retractions are in the file, in order, once the ledger is made durable."""
    path = tmp_path / "ledger"
    with kept(path) as ledger:
        one = entry("t", ID.encode())
        ledger.open(one)
        ledger.deliver(one)
        assert path.read_bytes() == b""
        ledger.retract(one)
        ledger.make_durable()

        assert path.read_text().splitlines() == [
            f'["apns","t","{ID}","delivered",1.5,""]', f'["apns","t","{ID}","retracted",1.5,""]',
        ]  # fmt: skip
    assert not read_deliveries(path).duplicates()


async def test_duplicates_are_counted_across_restarts(tmp_path: Path) -> None:
    """A message that an earlier run delivered is a duplicate in the next one."""
    path = tmp_path / "ledger"
    with kept(path) as ledger:
        deliver(ledger, "a", "b")
    with kept(path) as ledger:
        deliver(ledger, "b", "c")

    read = read_deliveries(path)
    assert ledger.sums("apns").duplicates == 1
    assert read.by_token() == {("apns", "a"): 1, ("apns", "b"): 2, ("apns", "c"): 1}
    assert read.duplicates() == {("apns", "b", ID): 2}


async def test_a_torn_line_is_passed_over(tmp_path: Path) -> None:
    """What a kill left of a line harms neither what is before it nor what follows."""
    path = tmp_path / "ledger"
    with kept(path) as ledger:
        deliver(ledger, "a")
    whole = path.read_bytes()
    path.write_bytes(whole + whole[:25])
    assert (read_deliveries(path).by_token(), read_deliveries(path).torn) == ({("apns", "a"): 1}, 1)
    with kept(path) as ledger:
        deliver(ledger, "b")

    read = read_deliveries(path)
    assert (set(read.by_token()), read.torn) == ({("apns", "a"), ("apns", "b")}, 1)


def test_identities_are_text_in_the_file() -> None:
    """An `apns-id` stands as it is, a digest in hex; both can be read back."""
    digest = sha256(b"{}").digest()

    assert told(ID.encode()) == ID
    assert told(digest) == digest.hex()
    assert [identity_of(told(one)) for one in (ID.encode(), digest)] == [ID.encode(), digest]
