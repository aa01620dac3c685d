"""Who has the last word: command line, environment, credentials, file, defaults."""

from pathlib import Path

import pytest

from keeper.ports import ConfigError
from keeper.settings import find_socket, load_settings, secrets_of
from keeper.settings.tree import Settings
from tests.unit.settings.conftest import Load, Problems

STREAM = "streams: [{name: a, workload: {kind: tiny}, secrets: [ADMIN_CODE]}]"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder as systemd makes it for LoadCredential=."""
    folder = tmp_path / "credentials"
    folder.mkdir()
    return folder


def key_of(settings: Settings) -> str:
    assert settings.vast.api_key is not None
    return settings.vast.api_key.get_secret_value()


def test_each_source_overrules_those_below_it(tmp_path: Path, folder: Path) -> None:
    path = tmp_path / "keeper.yaml"
    credentials = {"CREDENTIALS_DIRECTORY": str(folder)}
    environ = {**credentials, "VAST_API_KEY": "from-vast-env"}
    (tmp_path / "key").write_text("from-key-file\n")

    path.write_text(f"vast: {{api_key_file: {tmp_path}/key}}")
    assert key_of(load_settings(path, {})) == "from-key-file"
    (folder / "vast_api_key").write_text("from-credential\n")
    assert key_of(load_settings(path, credentials)) == "from-credential"
    assert key_of(load_settings(path, environ)) == "from-vast-env"
    environ["KEEPER_VAST__API_KEY"] = "from-keeper-env"
    assert key_of(load_settings(path, environ)) == "from-keeper-env"
    overrides = {"vast": {"api_key": "from-command-line"}}
    assert key_of(load_settings(path, environ, overrides=overrides)) == "from-command-line"


def test_sources_complete_each_other_within_a_section(load: Load) -> None:
    settings = load(
        "vast: {timeout_s: 5}\nfleet: {tick_interval_s: 7}",
        {"VAST_URL": "http://127.0.0.1:1", "KEEPER_FLEET__QUARANTINE_HOST_AFTER": "3"},
        overrides={"fleet": {"list_interval_s": 9.0}},
    )
    assert (settings.vast.url, settings.vast.timeout_s) == ("http://127.0.0.1:1", 5.0)
    fleet = settings.fleet
    assert (fleet.tick_interval_s, fleet.quarantine_host_after, fleet.list_interval_s) == (7, 3, 9)


@pytest.mark.parametrize(
    ("name", "value", "place", "expected"),
    [
        ("KEEPER_RETENTION_DAYS", "12", "retention_days", 12.0),
        ("keeper_retention_days", "12", "retention_days", 12.0),
        ("KEEPER_STATE_DIR", "/x", "state_dir", Path("/x")),
        ("KEEPER_POLICY__PROBE_INTERVAL_S", "20s", "policy.probe_interval_s", 20.0),
        ("KEEPER_FLEET__QUARANTINE_S", "[1h, 2h]", "fleet.quarantine_s", (3600.0, 7200.0)),
        ("KEEPER_CANARY__ADDRESSES", '["box:1"]', "canary.addresses", ("box:1",)),
        ("KEEPER_CANARY__ADDRESSES", "auto", "canary.addresses", None),
        ("KEEPER_LOG__LEVEL", "debug", "log.level", "debug"),
        ("KEEPER_STREAMS", "[{name: a, workload: {kind: tiny}}]", "streams[0].name", "a"),
        ("KEEPER_VAST__URL", "", "vast.url", "https://console.vast.ai"),
    ],
)
def test_a_variable_sets_a_key(
    load: Load, name: str, value: str, place: str, expected: object
) -> None:
    found: object = load("", {name: value})
    for key in place.replace("[0]", "").split("."):
        found = getattr(found, key)
        found = found[0] if isinstance(found, tuple) and "[0]" in place else found
    assert found == expected


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("KEEPER_VAST__URK", "x", "no setting has this name (did you mean 'KEEPER_VAST__URL'?)"),
        ("KEEPER_VAST_URL", "x", "no setting has this name (did you mean 'KEEPER_VAST__URL'?)"),
        ("KEEPER_NONSENSE", "x", "no setting has this name"),
        ("KEEPER_CANARY__ADDRESSES", "[a", "it is not a YAML value"),
        ("KEEPER_VAST__TIMEOUT_S", "soon", "vast.timeout_s: 'soon' is not a duration"),
        ("KEEPER_FLEET__QUARANTINE_S", "[2h, 1h]", "quarantine_s must climb"),
    ],
)
def test_a_bad_variable_is_named(problems: Problems, name: str, value: str, expected: str) -> None:
    (problem,) = problems("", {name: value})
    assert problem.startswith(f"environment {name}: {expected}")


def test_names_of_the_command_line_and_of_others_are_left_alone(load: Load) -> None:
    load("", {"KEEPER_CONFIG": "x", "KEEPER_SECRET_X": "y", "KEEPER_TEST_REQUIRE_ALL": "1"})


def test_without_a_key_the_cure_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load_settings(None, {"VAST_API_KEY": ""})
    assert caught.value.problems == (
        (
            "configuration: there is no Vast.ai API key: set VAST_API_KEY, use the credential "
            "vast_api_key, or name a file in vast.api_key_file"
        ),
    )


def test_a_key_that_no_header_can_carry_is_refused_unseen(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="characters that no key has") as caught:
        load_settings(None, {"VAST_API_KEY": "abc\ndef"})
    assert "def" not in str(caught.value)


def test_a_secret_file_that_cannot_be_read_or_is_empty_is_named(
    problems: Problems, tmp_path: Path
) -> None:
    (tmp_path / "empty").write_text("\n")
    report = problems(f"http:\n  token_file: {tmp_path}/empty\n")
    assert report == ["keeper.yaml:2:3: http.token_file: empty is empty"]
    report = problems(f"http:\n  token_file: {tmp_path}/absent\n")
    assert report == [
        "keeper.yaml:2:3: http.token_file: absent cannot be read: No such file or directory"
    ]


def test_no_secret_file_is_no_secret(load: Load) -> None:
    """An explicit null was once read as a file called None."""
    assert load("http: {token_file: null}\nvast: {api_key_file: null}").http.token is None


def test_the_ssh_key_of_a_credential_is_used_where_it_lies(load: Load, folder: Path) -> None:
    (folder / "ssh_key").write_text("-----BEGIN OPENSSH PRIVATE KEY-----\n")
    settings = load("", {"CREDENTIALS_DIRECTORY": str(folder)})
    assert settings.ssh.private_key_file == folder / "ssh_key"


def test_an_ssh_key_that_is_not_there_is_an_error_with_a_cure(problems: Problems) -> None:
    (problem,) = problems("ssh: {private_key_file: /nowhere/key}")
    assert problem.startswith("keeper.yaml:1:7: there is no SSH key at /nowhere/key: make one with")


def test_a_named_secret_comes_from_the_environment_or_a_credential(
    load: Load, folder: Path
) -> None:
    settings = load(STREAM, {"KEEPER_SECRET_ADMIN_CODE": "0pen"})
    assert secrets_of(settings) == {"k3y", "0pen"}
    (folder / "secret_admin_code").write_text("sesame\n")
    settings = load(STREAM, {"CREDENTIALS_DIRECTORY": str(folder)})
    assert secrets_of(settings) == {"k3y", "sesame"}
    assert "sesame" not in repr(settings)
    assert "sesame" not in str(settings.model_dump())


def test_a_changed_secret_is_a_changed_configuration(load: Load) -> None:
    before = load(STREAM, {"KEEPER_SECRET_ADMIN_CODE": "old"})
    assert before == load(STREAM, {"KEEPER_SECRET_ADMIN_CODE": "old"})
    assert before != load(STREAM, {"KEEPER_SECRET_ADMIN_CODE": "new"})


def test_a_secret_that_nobody_gives_is_named_where_it_is_asked_for(problems: Problems) -> None:
    assert problems(STREAM) == [
        (
            "keeper.yaml:1:55: the secret ADMIN_CODE is named but not given: set "
            "KEEPER_SECRET_ADMIN_CODE, or the credential secret_admin_code"
        )
    ]
    assert problems("alerts: {channels: [{kind: bell, name: ops}]}") == [
        (
            "keeper.yaml:1:21: the secret BELL_ROPE is named but not given: set "
            "KEEPER_SECRET_BELL_ROPE, or the credential secret_bell_rope"
        )
    ]


def test_a_secret_that_is_not_text_is_named_unseen(problems: Problems, folder: Path) -> None:
    (folder / "secret_admin_code").write_bytes(b"hunter2 \xff")
    (folder / "http_token").write_bytes(b"hunter2 \xff")
    report = problems(STREAM, {"CREDENTIALS_DIRECTORY": str(folder)})
    assert report[0].startswith("credential http_token: it cannot be read")
    assert report[1].startswith("keeper.yaml:1:55: the secret ADMIN_CODE cannot be read")
    assert "hunter2" not in "".join(report)


def test_a_client_finds_the_socket_without_any_secret(tmp_path: Path) -> None:
    path, default = tmp_path / "keeper.yaml", Path("/run/keeper/keeper.sock")
    assert find_socket(path, {}, default) == default
    path.write_text("socket: /x/keeper.sock\nnonsense: 1\n")
    assert find_socket(path, {}, default) == Path("/x/keeper.sock")
    assert find_socket(path, {"KEEPER_SOCKET": "/y"}, default) == Path("/y")
    path.write_text("socket: [")
    assert find_socket(path, {}, default) == default
