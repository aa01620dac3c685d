"""One number for a configuration: what changes it, what does not, and that it gives no secret away."""

from pathlib import Path

from keeper.settings import load_settings
from keeper.settings.fingerprint import fingerprint

STREAM = """
streams:
  - name: duel
    workload: {kind: command, image: 'img:1', start: ./run, view: {kind: tcp, port: 80}%s}
"""


def number_of(folder: Path, text: str, **environ: str) -> int:
    file = folder / "keeper.yaml"
    file.write_text(text)
    return fingerprint(load_settings(file, {"VAST_API_KEY": "one"} | environ))


def test_equal_configurations_have_equal_numbers_and_a_float_holds_them(tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    number = number_of(tmp_path, STREAM % "")
    assert number == number_of(other, "# a remark\n" + STREAM % "")
    assert 0 < number < 2**48


def test_what_a_stream_runs_is_part_of_it(tmp_path: Path) -> None:
    assert number_of(tmp_path, STREAM % "") != number_of(tmp_path, STREAM % ", workdir: elsewhere")


def test_a_secret_s_value_is_no_part_of_it(tmp_path: Path) -> None:
    keys = (number_of(tmp_path, STREAM % "", VAST_API_KEY=key) for key in ("two", "three"))
    assert len(set(keys)) == 1
