"""What is declared of an audition and would never come to anything is said before it is believed."""

import pytest

from tests.unit.settings.conftest import Load, Problems

DUEL = "kind: hyperscape-duel"


def declared(workload: str, audition: str) -> str:
    return f"streams: [{{name: a, workload: {{{workload}, audition: {{{audition}}}}}}}]"


@pytest.mark.parametrize(
    ("workload", "audition", "said"),
    [
        ("kind: sd-turbo", "force: [gpu, webgpu]", "sd-turbo holds no check 'webgpu'"),
        ("kind: sd-turbo", "force: [port]", "there are gpu, disk, clock"),
        ("kind: sd-turbo, generator: test-card", "force: [webgpu]", "there are gpu, "),
        (DUEL, "force: [encoder]", "no check 'encoder' as it is declared"),
        (f"{DUEL}, bitrate_bps: 0", "upload_test_url: 'https://a/b'", "set bitrate_bps, or leave"),
        ("kind: command, image: i, start: s, view: {kind: tcp, port: 80}",
         "upload_test_url: 'https://a/b'", "nothing says how much must go upwards"),
        ("kind: command, image: i, start: s, view: {kind: tcp, port: 80}",
         "force: [vulkan]", "command holds no check 'vulkan'"),
    ],
)  # fmt: skip
def test_what_would_come_to_nothing_is_named(
    problems: Problems, workload: str, audition: str, said: str
) -> None:
    (problem,) = problems(declared(workload, audition))
    assert said in problem


def test_the_place_is_that_of_the_word(problems: Problems) -> None:
    text = declared("kind: sd-turbo", "force: [gpu, webgpu]")
    (problem,) = problems(text)
    assert problem.startswith(f"keeper.yaml:1:{text.index('webgpu') + 1}: stream 'a': "), problem
    assert "(did you mean 'gpu'?)" in problem


@pytest.mark.parametrize(
    ("workload", "audition"),
    [
        ("kind: sd-turbo", "force: [gpu, disk, clock], upload_test_url: 'https://a/b'"),
        ("kind: sd-turbo, bind: 0.0.0.0", "force: [port]"),
        # What commissions a host may keep what is declared for the model.
        (
            "kind: sd-turbo, generator: test-card",
            "force: [gpu, port], upload_test_url: 'rtmp://a/b'",
        ),
        (DUEL, "force: [webgpu, ingest], upload_test_url: 'https://a/b'"),
        (f"{DUEL}, env: {{STREAM_CAPTURE_MODE: x11_nvenc}}", "force: [encoder]"),
        ("kind: pixel-streaming, app: {executable: x}", "force: [port, encoder]"),
    ],
)
def test_what_is_looked_at_may_be_declared(load: Load, workload: str, audition: str) -> None:
    assert load(declared(workload, audition)).streams
