"""The compose file and what it mounts, judged by the programs that will read it, as far as they run here."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from tests.components import REPOSITORY, require

DEPLOY = REPOSITORY / "deploy"
FILE = DEPLOY / "compose.yaml"
CLOSED = {"cap_drop": ["ALL"], "read_only": True, "security_opt": ["no-new-privileges:true"]}


def read(path: Path) -> Any:
    return YAML(typ="safe", pure=True).load(path)


COMPOSE: Any = read(FILE)
SERVICES: dict[str, Any] = COMPOSE["services"]


def test_it_is_a_compose_file() -> None:
    """By the compose specification's own schema."""
    checker = Path(sys.executable).with_name("check-jsonschema")
    command = [str(checker), "--builtin-schema", "vendor.compose-spec", str(FILE)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("name", SERVICES)
def test_every_service_is_closed_in_and_says_how_it_is(name: str) -> None:
    service = SERVICES[name]
    assert {key: service[key] for key in CLOSED} == CLOSED
    assert name == "keeper" or "healthcheck" in service  # keeper's is in its image
    assert name == "keeper" or int(service["user"].partition(":")[0]) > 0
    assert "privileged" not in service
    assert "network_mode" not in service


def test_nothing_but_this_box_can_reach_a_port() -> None:
    ports = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert len(ports) == len(set(ports)) == 4
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_no_image_is_whatever_is_newest() -> None:
    """A digest is asked for, and without it compose does not start."""
    text = FILE.read_text()
    assert "latest" not in text
    for name, service in SERVICES.items():
        if name == "keeper":
            assert ":?" in service["build"]["args"]["PYTHON_DIGEST"]
        else:
            assert re.fullmatch(r"[\w/]+:v?[\d.]+@\$\{\w+_DIGEST:\?[^}]+\}", service["image"]), name


def test_everything_that_is_mounted_is_there() -> None:
    mounts = [mount for service in SERVICES.values() for mount in service.get("volumes", [])]
    for mount in mounts:
        source, _, rest = re.sub(r"\$\{\w+:-([^}]+)\}", r"\1", mount).partition(":")
        if source.startswith("."):
            assert (DEPLOY / source).exists(), mount
            assert rest.endswith(":ro"), mount
        else:
            assert source in COMPOSE["volumes"], mount


def test_every_secret_is_declared_explained_and_kept_out_of_git() -> None:
    asked = {secret for service in SERVICES.values() for secret in service.get("secrets", [])}
    assert asked == set(COMPOSE["secrets"])
    page = (DEPLOY / "compose/secrets/README.md").read_text()
    for secret in COMPOSE["secrets"].values():
        file = Path(secret["file"])
        assert f"| `{file.name}` |" in page
        command = ["git", "check-ignore", "--quiet", str(DEPLOY / file)]
        assert subprocess.run(command, cwd=REPOSITORY, check=False).returncode == 0, file


def test_keeper_s_own_file_is_good_with_the_secrets_that_compose_gives(tmp_path: Path) -> None:
    for name in SERVICES["keeper"]["secrets"]:
        (tmp_path / name).write_text("0123456789abcdef0123456789abcdef\n")
    told = {**SERVICES["keeper"]["environment"], "CREDENTIALS_DIRECTORY": str(tmp_path)}
    keeper = Path(sys.executable).with_name("keeper")
    done = subprocess.run(
        [str(keeper), "check-config", str(DEPLOY / "compose/keeper.yaml")],
        env={"PATH": os.environ["PATH"], **told},
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


@pytest.mark.real("promtool")
def test_prometheus_takes_its_file_and_the_rules_in_it(tmp_path: Path) -> None:
    mounted = {
        target: DEPLOY / source
        for source, target, *_ in (m.split(":") for m in SERVICES["prometheus"]["volumes"])
        if source.startswith(".")
    }
    text = mounted["/etc/prometheus/prometheus.yml"].read_text()
    folder = mounted["/etc/prometheus/keeper"]
    copy = tmp_path / "prometheus.yml"
    copy.write_text(text.replace("/etc/prometheus/keeper", str(folder)))
    command = [str(require("promtool")), "check", "config", str(copy)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 rule files found" in done.stdout


def test_prometheus_watches_as_the_example_does() -> None:
    """Two files, one meaning: only addresses differ."""
    text = (DEPLOY / "prometheus/prometheus.yml").read_text()
    text = text.replace("127.0.0.1:9093", "alertmanager:9093").replace(
        "127.0.0.1:9877", "keeper:9877"
    )
    example, ours = YAML(typ="safe", pure=True).load(text), read(DEPLOY / "compose/prometheus.yml")
    ours["rule_files"] = [Path(each).name for each in ours["rule_files"]]
    assert ours == example


def test_alertmanager_hands_on_as_the_example_does_and_hints_besides() -> None:
    example, ours = (read(DEPLOY / name / "alertmanager.yml") for name in ("prometheus", "compose"))
    routes = ours["route"].pop("routes")
    hints = [each for each in routes if each["receiver"] == "keeper"]
    rest = [each for each in routes if each["receiver"] not in {"keeper", "people"}]
    assert len(hints) == 1
    assert rest == example["route"].pop("routes")
    assert ours["route"] == example["route"]
    assert ours["inhibit_rules"] == example["inhibit_rules"]
    names = {each["name"] for each in ours["receivers"]}
    assert names == {each["name"] for each in example["receivers"]} | {"keeper"}


@pytest.mark.real("amtool")
@pytest.mark.parametrize(
    ("labels", "receivers"),
    [
        ("alertname=KeeperStreamDark severity=critical stream=duel", "pager"),
        ("alertname=KeeperSpareMissing severity=warning", "people"),
        ("alertname=KeeperSpeaks severity=none", "nobody"),
        ("alertname=Watchdog severity=none", "dead-mans-switch"),
        # Somebody else's: people are told, and keeper looks.
        ("alertname=PictureGone severity=warning", "keeper,people"),
        ("alertname=PictureGone severity=critical", "keeper,pager"),
    ],
)
def test_alertmanager_tells_people_and_hints_only_what_keeper_does_not_know(
    labels: str, receivers: str
) -> None:
    file = DEPLOY / "compose/alertmanager.yml"
    amtool = str(require("amtool"))
    command = [amtool, "config", "routes", "test", f"--config.file={file}", *labels.split()]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert (done.stdout.strip(), done.returncode) == (receivers, 0), done.stderr
    check = [amtool, "check-config", str(file)]
    assert subprocess.run(check, capture_output=True, check=False, timeout=60).returncode == 0


def test_the_hint_goes_where_keeper_takes_it_with_the_secret_of_both() -> None:
    """keeper and Alertmanager read one file under two names."""
    receivers = {
        each["name"]: each for each in read(DEPLOY / "compose/alertmanager.yml")["receivers"]
    }
    (hook,) = receivers["keeper"]["webhook_configs"]
    assert hook["url"] == "http://keeper:9877/hooks/alertmanager"
    file = Path(hook["http_config"]["authorization"]["credentials_file"])
    declared = read(DEPLOY / "compose/keeper.yaml")["hooks"]["alertmanager_secret"]
    secrets = COMPOSE["secrets"]
    assert secrets[file.name]["file"] == secrets[f"secret_{declared.lower()}"]["file"]


def test_grafana_finds_its_dashboard_and_what_it_asks() -> None:
    (source,) = read(DEPLOY / "compose/grafana/datasources/prometheus.yml")["datasources"]
    (provider,) = read(DEPLOY / "compose/grafana/dashboards/keeper.yml")["providers"]
    assert source["url"] == "http://prometheus:9090"
    mounted = dict(m.split(":")[1::-1] for m in SERVICES["grafana"]["volumes"])
    folder = DEPLOY / mounted[provider["options"]["path"]]
    home = SERVICES["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    dashboard = json.loads((folder / Path(home).name).read_text())
    assert dashboard["uid"]


def test_what_pins_prints_everything_that_compose_asks_for(tmp_path: Path) -> None:
    docker = tmp_path / "docker"
    docker.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/asked\necho sha256:{"0a" * 32}\n')
    docker.chmod(0o755)
    script = DEPLOY / "compose/pin.sh"
    environ = {"PATH": os.environ["PATH"], "DOCKER": str(docker)}
    done = subprocess.run([str(script)], env=environ, capture_output=True, text=True, check=True)
    asked = set(re.findall(r"\$\{(\w+):\?", FILE.read_text()))
    assert {line.partition("=")[0] for line in done.stdout.splitlines()} == asked
    assert "inspect python:3.12-slim-bookworm " in (tmp_path / "asked").read_text()
    # One that cannot be found out spoils nothing: nothing is printed.
    docker.write_text("#!/bin/sh\nexit 1\n")
    done = subprocess.run([str(script)], env=environ, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert done.stdout == ""
