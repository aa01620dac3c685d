"""A configuration as the README shows it, without a working directory, on the simulator."""

from pathlib import Path

import pytest

from tests.e2e.conftest import Box

pytestmark = pytest.mark.timeout(300)


async def test_the_default_folder_of_a_workload_is_the_simulated_host_s_own(box: Box) -> None:
    """The shell's /workspace was this machine's: a deploy failed, or wrote where it must not."""
    was_there = Path("/workspace").exists()
    box.config.write_text(box.config.read_text().replace("workdir: duel, ", ""))
    await box.daemon(until_on_air=True)
    assert len(box.live()) == 1
    assert Path("/workspace").exists() is was_there
