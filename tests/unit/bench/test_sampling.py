"""The stages that a worker's samples are told as."""

import json
from pathlib import Path

from bench.sampling import OTHER, Sampler, stage_of


def test_a_module_belongs_to_its_package() -> None:
    """The wire is not what hands messages to it; what nobody named is the rest."""
    assert stage_of("delivery.wire.connection") == "wire"
    assert stage_of("delivery.dispatch") == "send"
    assert stage_of("storage.usual_lease") == "lease and ledger rows"
    assert stage_of("deliveries") == OTHER


def test_shares_are_of_all_workers(tmp_path: Path) -> None:
    """The samples of two workers are told as one, the largest stage first."""
    sampler = Sampler(tmp_path / "samples")
    for pid, modules in ((1, {"shaping.body": 1}), (2, {"delivery.wire.link": 3})):
        (tmp_path / "samples" / f"{pid}.json").write_text(json.dumps(modules))
    assert list(sampler.shares().items()) == [("wire", 0.75), ("shape", 0.25)]
