"""The simulated container's /workspace: rewritten where it is a path, and nowhere else."""

import pytest

from keeper.sim.ssh_session import Mount


@pytest.mark.parametrize(
    ("text", "becomes"),
    [
        (
            "mkdir -p -- /workspace && cd -- /workspace",
            "mkdir -p -- /h/workspace && cd -- /h/workspace",
        ),
        ("cat '/workspace/server.log'", "cat '/h/workspace/server.log'"),
        ("keeper_workdir=/workspace", "keeper_workdir=/h/workspace"),
        ("env >> /etc/environment", "env >> /h/etc/environment"),
        ("cat /proc/1/environ /proc/11/environ", "cat /h/proc/1/environ /proc/11/environ"),
        ("cat /my/etc/environment /etc/environments /etc/env", None),
        ("ls /workspaces /my/workspace ~/workspace $HOME/workspace", None),
        ("ls /workspace-2 ./workspace", None),
    ],
)
def test_only_the_absolute_path_is_rewritten(text: str, becomes: str | None) -> None:
    assert Mount("/h").command(text) == (becomes or text)


def test_a_path_that_comes_in_two_pieces_is_still_one_path() -> None:
    mount = Mount("/h")
    assert mount.feed(b"cd /work") == b""
    assert mount.feed(b"space\nls /works") == b"cd /h/workspace\n"
    assert mount.rest() == b"ls /works"


def test_everything_else_passes_as_it_came() -> None:
    mount = Mount("/h")
    data = bytes(range(256)) * 3
    assert mount.feed(data) + mount.rest() == data
