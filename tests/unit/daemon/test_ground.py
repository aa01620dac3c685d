"""What all parts stand on: secrets are those of the configuration in force."""

from __future__ import annotations

import pytest

from keeper.daemon.declared import Declared
from keeper.daemon.ground import Ground
from tests.builders import a_desire


def declared(secret: str) -> Declared:
    return Declared(
        desired=a_desire(), workloads={}, redact=lambda text: text.replace(secret, "[redacted]")
    )


@pytest.mark.parametrize("length", [0, 100_000], ids=["short", "long"])
def test_a_reload_brings_its_secrets_at_once(length: int) -> None:
    ground, said = Ground(declared("the old one")), "the old one, the new one" + length * "."
    for _ in range(2):
        assert ground.hide(said).startswith("[redacted], the new one")
    ground.declared = declared("the new one")
    for _ in range(2):
        assert ground.hide(said).startswith("the old one, [redacted]")
    assert ground.hide("") == ""
