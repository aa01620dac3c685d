"""What keeper's SD-Turbo server knows of itself, without a thread and a socket."""

import argparse
import importlib.util
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.components import REPOSITORY

STATE = REPOSITORY / "keeper" / "workloads" / "payload" / "sd_turbo_state.py"
BRIEF_MAX_BYTES = 3_300  # what the questions on the host let through, less the exit code


@pytest.fixture(scope="module")
def state() -> Iterator[Any]:
    spec = importlib.util.spec_from_file_location("sd_turbo_state", STATE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def stream(state: Any, folder: Path, *, prompt: str = "cat", declared: str = "cat") -> Any:
    options = argparse.Namespace(
        prompt=prompt, declared_prompt=declared, prompt_file=str(folder / "prompt"),
        backend="diffusers", model="m",
    )  # fmt: skip
    return state.Stream(options)


def test_what_is_wrong_stays_so_between_two_tries(state: Any, tmp_path: Path) -> None:
    """The pauses between tries to get a model grow to minutes; a person is told after two."""
    one = stream(state, tmp_path)
    one.fail("download", "no way to the hub")
    one.last_error = ("download", "no way to the hub", time.monotonic() - 500)
    assert state.brief(one.health())["kind"] == "download"
    one.publish(b"a picture", 0.1)
    assert state.brief(one.health())["kind"] == ""


def test_the_brief_word_fits_whatever_is_in_it(state: Any, tmp_path: Path) -> None:
    one = stream(state, tmp_path)
    one.prompt.change("\U0001f431" * state.PROMPT_MAX)
    one.note = "\U0001f431" * 1000
    one.fail("other", "\U0001f431\n" * 1000)
    word = json.dumps(state.brief(one.health()), separators=(",", ":"))
    assert word.isascii()
    assert word.startswith('{"keeper":"sd-turbo",')
    assert len(word) < BRIEF_MAX_BYTES


def test_the_prompt_in_the_file_gives_way_to_another_declaration(
    state: Any, tmp_path: Path
) -> None:
    stream(state, tmp_path).prompt.change("a dög")
    assert stream(state, tmp_path).prompt.text == "a dög"
    assert stream(state, tmp_path, prompt="owl", declared="owl").prompt.text == "owl"
    (tmp_path / "prompt").write_text('{"declared": ["cat"], "prompt"')
    assert stream(state, tmp_path).prompt.text == "cat"


def test_a_wish_waits_until_a_picture_of_it_is_out(state: Any, tmp_path: Path) -> None:
    one = stream(state, tmp_path)
    assert one.prompt.waited_s() == 0
    one.prompt.change("dog")
    one.prompt.drawn("cat")  # one that was begun before
    assert one.prompt.changed_at is not None
    one.prompt.drawn("dog")
    assert one.prompt.waited_s() == 0


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (RuntimeError("CUDA out of memory. Tried to allocate 512.00 MiB"), "out_of_memory"),
        (RuntimeError("CUDA error: no kernel image is available for execution"), "no_kernel"),
        (RuntimeError("Found no NVIDIA driver on your system."), "gpu_lost"),
        (
            RuntimeError("The NVIDIA driver on your system is too old (found version 11040)"),
            "driver",
        ),
        (RuntimeError("Numpy is not available"), "numpy"),
        (ImportError("cannot import name 'cached_download' from 'huggingface_hub'"), "imports"),
        (AssertionError("Torch not compiled with CUDA enabled"), "imports"),
        (OSError(28, "No space left on device"), "disk_full"),
        (OSError(98, "Address already in use"), "port_in_use"),
        (OSError("You are trying to access a gated repo."), "refused"),
        (OSError("429 Client Error: Too Many Requests for url"), "download"),
        (OSError("m does not appear to have a file named model_index.json."), "refused"),
        (ValueError("shapes do not match"), "other"),
    ],
    ids=lambda value: value if isinstance(value, str) else str(value)[:30],
)
def test_an_error_is_known_by_what_it_says(state: Any, error: Exception, kind: str) -> None:
    assert state.kind_of(error) == kind


def test_the_error_beneath_counts_and_a_ring_of_them_ends(state: Any) -> None:
    """What could not be fetched is called a file that does not exist by the one around it."""
    inner = RuntimeError("LocalEntryNotFoundError: cannot find the requested files")
    outer = OSError("m does not appear to have a file named model_index.json.")
    outer.__context__ = inner
    inner.__context__ = outer
    assert state.kind_of(outer) == "download"
