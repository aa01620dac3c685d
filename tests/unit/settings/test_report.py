"""What an operator reads when the configuration is wrong: where, what, and what was perhaps meant."""

import json
from pathlib import Path

import pytest

from keeper.ports import ConfigError
from keeper.settings import Settings, json_schema, load_settings
from keeper.settings.report import _PATTERNS
from tests.unit.settings.conftest import Load, Problems

STREAM = "streams:\n  - name: duel\n    workload: {kind: tiny}\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # keys
        ("vast: {urll: x}", "keeper.yaml:1:8: unknown key 'urll' in vast (did you mean 'url'?)"),
        ("fleat: {}", "keeper.yaml:1:1: unknown key 'fleat' in the file (did you mean 'fleet'?)"),
        ("zzz: 1", "keeper.yaml:1:1: unknown key 'zzz' in the file"),
        (
            "fleet:\n  probe_interval_s: 3",
            (
                "keeper.yaml:2:3: unknown key 'probe_interval_s' in fleet "
                "(did you mean 'policy.probe_interval_s'?)"
            ),
        ),
        (
            STREAM + "    lables: 1",
            "keeper.yaml:4:5: unknown key 'lables' in streams[0]",
        ),
        (
            STREAM + "    ofer: {}",
            "keeper.yaml:4:5: unknown key 'ofer' in streams[0] (did you mean 'offer'?)",
        ),
        (
            STREAM + "    offer: {gpu_name: x}",
            (
                "keeper.yaml:4:13: unknown key 'gpu_name' in streams[0].offer "
                "(did you mean 'gpu_names'?)"
            ),
        ),
        (
            STREAM + "    policy: {probe_interval: 3}",
            (
                "keeper.yaml:4:14: unknown key 'probe_interval' in streams[0].policy "
                "(did you mean 'probe_interval_s'?)"
            ),
        ),
        (
            "streams:\n- name: a\n  workload: {kind: tiny, prot: 1}",
            "keeper.yaml:3:26: unknown key 'prot' in streams[0].workload (did you mean 'port'?)",
        ),
        (
            "streams:\n- name: a\n  workload:\n    kind: tiny\n    inner: {promt: x}",
            (
                "keeper.yaml:5:13: unknown key 'promt' in streams[0].workload.inner "
                "(did you mean 'prompt'?)"
            ),
        ),
        (
            "alerts: {channels: [{kind: bell, name: ops, ropesecret: A, rope_secret: ''}]}",
            (
                "keeper.yaml:1:45: unknown key 'ropesecret' in alerts.channels[0] "
                "(did you mean 'rope_secret'?)"
            ),
        ),
        # windows
        (
            "maintenance: {time_zone: Europe/Berlinn}",
            (
                "keeper.yaml:1:15: maintenance.time_zone: there is no time zone 'Europe/Berlinn' "
                "(did you mean 'Europe/Berlin'?)"
            ),
        ),
        (
            "maintenance:\n  windows:\n    - {name: w, cron: 0 18 * *, for_s: 6h, allow: repair}",
            "keeper.yaml:3:17: maintenance.windows[0].cron: '0 18 * *' has 4 fields; a cron",
        ),
        (
            STREAM + "    windows:\n    - {name: w, cron: 0 18 1 * 5, for_s: 6h, allow: repair}",
            "keeper.yaml:5:17: streams[0].windows[0].cron: '0 18 1 * 5' names a day of the month",
        ),
        (
            "maintenance:\n  windows:\n    - {name: w, cron: 0 18 * * *, for_s: 6h, allow: nothing}",
            (
                "keeper.yaml:3:46: maintenance.windows[0].allow: must be 'observe', 'repair' or "
                "'replace'"
            ),
        ),
        (
            "maintenance:\n  windows:\n    - {name: w, cron: 0 18 * * *, for_s: 8d, allow: repair}",
            "keeper.yaml:3:35: maintenance.windows[0].for_s: must be at most 604800",
        ),
        # plug-ins
        (
            "streams: [{name: a, workload: {kind: tinny}}]",
            (
                "keeper.yaml:1:21: streams[0].workload: no workload is of kind 'tinny' "
                "(did you mean 'tiny'?); one of: "
            ),
        ),
        (
            "streams: [{name: a, workload: {port: 3}}]",
            "keeper.yaml:1:21: streams[0].workload: the key 'kind' is missing; one of: ",
        ),
        (
            "streams: [{name: a, workload: tiny}]",
            (
                "keeper.yaml:1:21: streams[0].workload: expected a mapping of keys to values, "
                "found 'tiny'"
            ),
        ),
        (
            "streams: [{name: a, workload: {kind: tiny, port: 0}}]",
            "keeper.yaml:1:44: streams[0].workload.port: must be at least 1, found 0",
        ),
        (
            "policy: {failures_to_fail: 1}",
            "keeper.yaml:1:10: policy.failures_to_fail: must be at least 2, found 1",
        ),
        (
            "streams: [{name: a, workload: {kind: tiny, image: latest}}]",
            "keeper.yaml:1:21: name a fixed image; latest is another one tomorrow",
        ),
        (
            "streams: [{name: a, workload: {kind: tiny, rest_s: 30m}}]",
            (
                "keeper.yaml:1:44: streams[0].workload.rest_s: expected a number of seconds: 1800, "
                "found '30m'"
            ),
        ),
        (
            "streams: [{name: a, workload: {kind: tiny, rest_s: soon}}]",
            (
                "keeper.yaml:1:44: streams[0].workload.rest_s: expected a number of seconds, "
                "found 'soon'"
            ),
        ),
        (
            "streams: [{name: a, workload: {kind: tiny, ingest: here}}]",
            (
                "keeper.yaml:1:44: streams[0].workload.ingest: must be host:port, such as "
                "live.example.com:1935, found 'here'"
            ),
        ),
        (
            "streams: [{name: a, workload: {kind: tiny, image: OLD_ONE}}]",
            "keeper.yaml:1:44: streams[0].workload.image: OLD_ONE is not made any more",
        ),
        ("streams: [{name: a}]", "keeper.yaml:1:11: streams[0] lacks the key 'workload'"),
        # a union inside a plug-in: its inner names are nobody's business
        (
            "streams: [{name: a, workload: {kind: tiny, keeper: {kind: pm2, nme: x}}}]",
            (
                "keeper.yaml:1:64: unknown key 'nme' in streams[0].workload.keeper "
                "(did you mean 'name'?)"
            ),
        ),
        (
            "streams: [{name: a, workload: {kind: tiny, keeper: {kind: pm3}}}]",
            (
                "keeper.yaml:1:44: streams[0].workload.keeper: there is no kind 'pm3'; "
                "one of: 'pm2', 'none'"
            ),
        ),
        (
            "streams: [{name: a, workload: {kind: tiny, keeper: {}}}]",
            "keeper.yaml:1:44: streams[0].workload.keeper: the key 'kind' is missing",
        ),
        (
            "streams: [{name: a, workload: {kind: tiny, env: {A: 1}}}]",
            "keeper.yaml:1:50: streams[0].workload.env.A: expected text; put it in quotes",
        ),
        # values
        (
            "vast: {timeout_s: 5q}",
            (
                "keeper.yaml:1:8: vast.timeout_s: '5q' is not a duration: "
                'write 90, "90s", "5m" or "1h30m"'
            ),
        ),
        ("vast: {timeout_s: 0}", "keeper.yaml:1:8: vast.timeout_s: must be above 0, found 0"),
        ("vast: {timeout_s: true}", "keeper.yaml:1:8: vast.timeout_s: expected a number"),
        ("vast: {timeout_s: .inf}", "keeper.yaml:1:8: vast.timeout_s: expected a finite number"),
        ("vast: {timeout_s: [1]}", "keeper.yaml:1:8: vast.timeout_s: expected a number"),
        ("vast: {timeout_s: null}", "keeper.yaml:1:8: vast.timeout_s: expected a number"),
        (
            "vast: {url: vast.ai}",
            (
                "keeper.yaml:1:8: vast.url: expected a URL like https://console.vast.ai, "
                "found 'vast.ai'"
            ),
        ),
        (
            "vast: {url: 'http://Console.vast.ai/'}",
            (
                "keeper.yaml:1:8: vast.url: the API key would travel in the clear: "
                "write https://, found 'http://Console.vast.ai/'"
            ),
        ),
        (
            "vast: {url: 'https://me:paZZw0rd@vast.example'}",
            "keeper.yaml:1:8: vast.url: no user, password or query belongs into this address",
        ),
        (
            "vast: {url: 'https://vast.example?api_key=Zk39'}",
            "keeper.yaml:1:8: vast.url: no user, password or query belongs into this address",
        ),
        ("ssh: {dials_max: 2.5}", "keeper.yaml:1:7: ssh.dials_max: expected a whole number"),
        ("ssh: 5", "keeper.yaml:1:1: ssh: expected a mapping of keys to values, found 5"),
        ("streams: {}", "keeper.yaml:1:1: streams: expected a list"),
        (
            "log: {level: loud}",
            (
                "keeper.yaml:1:7: log.level: must be 'debug', 'info', 'warning' or 'error', "
                "found 'loud'"
            ),
        ),
        (
            "fleet: {orphans: adoppt}",
            "keeper.yaml:1:9: fleet.orphans: must be 'alert', 'destroy' or 'adopt', found 'adoppt'",
        ),
        ("fleet: {quarantine_s: []}", "keeper.yaml:1:9: fleet.quarantine_s: at least 1 entry"),
        (
            "fleet: {quarantine_s: [1h, 2x]}",
            (
                "keeper.yaml:1:28: fleet.quarantine_s[1]: '2x' is not a duration: "
                'write 90, "90s", "5m" or "1h30m"'
            ),
        ),
        (
            "streams: [{name: Duel, workload: {kind: tiny}}]",
            "keeper.yaml:1:12: streams[0].name: must be of a-z, 0-9 and - inside, found 'Duel'",
        ),
        (
            "streams: [{name: 7, workload: {kind: tiny}}]",
            (
                "keeper.yaml:1:12: streams[0].name: expected text; put it in quotes if it is meant "
                "as text, found 7"
            ),
        ),
        (
            STREAM + "    offer: {gpu_names: RTX 4090}",
            "keeper.yaml:4:13: streams[0].offer.gpu_names: expected a list, found 'RTX 4090'",
        ),
        (
            STREAM + "    offer: {verified: maybe}",
            "keeper.yaml:4:13: streams[0].offer.verified: expected true or false, found 'maybe'",
        ),
        (
            "http: {listen: '9877'}",
            "keeper.yaml:1:8: http.listen: '9877' is not an address: write host:port or [v6]:port",
        ),
        (
            "canary: {addresses: [1.1.1.1]}",
            (
                "keeper.yaml:1:22: canary.addresses[0]: '1.1.1.1' is not an address: "
                "write host:port or [v6]:port"
            ),
        ),
        ("canary: {addresses: never}", "keeper.yaml:1:10: canary.addresses: expected a list"),
    ],
)
def test_a_mistake_is_named_with_its_place(problems: Problems, text: str, expected: str) -> None:
    (problem,) = problems(text)
    assert problem.startswith(expected)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ssh: {}\nssh: {}\n", "keeper.yaml:2:1: the key 'ssh' is written twice; first in line 1"),
        ("vast:\n\turl: x\n", "keeper.yaml:2:1: a tab cannot indent in YAML; use spaces"),
        ("vast: {url: [\n", "keeper.yaml:2:1: "),
        ("vast: *nobody\n", "keeper.yaml:1:7: found undefined alias 'nobody'"),
        ("- a\n- b\n", "keeper.yaml:1:1: the file must be a mapping of keys to values"),
        ("just words\n", "keeper.yaml:1:1: the file must be a mapping of keys to values"),
        ("a: 1\n---\nb: 2\n", "keeper.yaml:2:1: but found another document"),
        ("7: seven\n", "keeper.yaml:1:1: a key must be a word, not '7'"),
        ("vast: &a {url: *a}\n", "keeper.yaml: it is not YAML: an anchor contains itself"),
        ("vast: !!python/object:os.system x\n", "keeper.yaml:1:7: could not determine"),
        ("vast: \0\n", "keeper.yaml: it is not YAML: unacceptable character #x0000"),
    ],
)
def test_what_is_not_yaml_is_named_with_its_place(
    problems: Problems, text: str, expected: str
) -> None:
    assert problems(text)[0].startswith(expected)


def test_anchors_of_anchors_do_not_eat_the_memory(problems: Problems) -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
    assert problems("\n".join(lines)) == [
        "keeper.yaml: it is not YAML: it has more than 100000 values"
    ]


def test_every_repeated_key_is_reported(problems: Problems) -> None:
    report = problems("vast: {timeout_s: 1, timeout_s: 2}\nssh: {}\nssh: {}\nssh: {}\n")
    assert [problem.partition(" ")[0] for problem in report] == [
        "keeper.yaml:1:22:",
        "keeper.yaml:3:1:",
        "keeper.yaml:4:1:",
    ]


def test_a_file_that_is_not_there_is_an_error_with_a_cure(tmp_path: Path) -> None:
    path = tmp_path / "absent.yaml"
    with pytest.raises(ConfigError, match="there is no such file; copy config/keeper") as e:
        load_settings(path, {"VAST_API_KEY": "k3y"})
    assert e.value.problems[0].startswith(f"{path}: ")


def test_a_folder_or_bytes_in_place_of_the_file_are_said_so(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="it cannot be read: Is a directory"):
        load_settings(tmp_path, {})
    (tmp_path / "k").write_bytes(b"a: \xff")
    with pytest.raises(ConfigError, match=r"it is not UTF-8 text \(byte 3\)"):
        load_settings(tmp_path / "k", {})


def test_everything_is_in_one_report_in_the_order_of_the_file(problems: Problems) -> None:
    """One mistake must not hide another: each round trip costs the operator a minute."""
    report = problems(
        """\
vast:
  urll: https://x
  api_key: hush-hush
http: {listen: "0.0.0.0:99"}
policy: {probe_timeout_s: 20s, probe_interval_s: 10}
fleet:
  list_interval_s: 5m
  orphans: adoppt
fleet: 3
streams:
  - name: Duel
    workload: {kind: tiny, portt: 3}
  - name: ok
    replicas: 4
    workload: {kind: tiny}
    policy: {warmup_grace_s: 1h}
    secrets: [NOPE]
  - name: ok
    workload: {kind: other}
  - workload: {kind: tiny, port: abc}
""",
        {"KEEPER_VAST__URK": "x", "KEEPER_LOG__LEVEL": "loud"},
    )
    assert [problem.partition(": ")[0] for problem in report] == [
        "environment KEEPER_VAST__URK",
        "environment KEEPER_LOG__LEVEL",
        "keeper.yaml:2:3",  # unknown key
        "keeper.yaml:3:3",  # a secret in the file
        "keeper.yaml:4:8",  # open to the world without a token
        "keeper.yaml:5:32",  # timers
        "keeper.yaml:7:3",  # timers of the fleet, though another key there is bad
        "keeper.yaml:8:3",  # bad value
        "keeper.yaml:9:1",  # written twice
        "keeper.yaml:11:5",  # bad name
        "keeper.yaml:12:28",  # unknown key of a plug-in
        "keeper.yaml:14:5",  # money, although items before it were bad
        "keeper.yaml:16:14",  # timers of one stream
        "keeper.yaml:17:15",  # secret that nobody gave
        "keeper.yaml:19:5",  # unknown kind
        "keeper.yaml:20:5",  # no name
        "keeper.yaml:20:28",  # bad value in the same item
    ]
    assert not [problem for problem in report if "hush-hush" in problem]


def test_a_bad_value_is_not_also_called_a_contradiction(problems: Problems) -> None:
    report = problems("policy: {warmup_grace_s: 1h, warmup_max_s: soon}")
    assert len(report) == 1
    assert "'soon' is not a duration" in report[0]


@pytest.mark.parametrize(
    "text",
    [
        "vast: {api_key: hunter2}",
        "vast: {api_key: [hunter2]}",
        "vast: {api_key: {hunter2: hunter2}}",
        "http: {token: hunter2}",
        "alerts: {channels: [{kind: bell, name: x, rope_secret: 'https://hunter2'}]}",
    ],
)
def test_a_secret_is_never_in_the_report(problems: Problems, text: str) -> None:
    report = problems(text)
    assert "hunter2" not in "".join(report)
    assert "does not belong" in "".join(report)


def test_a_setting_made_by_hand_ignores_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEEPER_RETENTION_DAYS", "1")
    monkeypatch.setenv("RETENTION_DAYS", "1")
    assert Settings().retention_days == 30.0


def test_yaml_1_2_keeps_words_as_words(load: Load) -> None:
    text = "streams: [{name: no, workload: {kind: tiny, image: 2026-11-21, env: {A: yes, B: '1'}}}]"
    (stream,) = load(text).streams
    assert stream.name == "no"
    assert stream.workload.image == "2026-11-21"  # type: ignore[attr-defined]
    assert stream.workload.env == {"A": "yes", "B": "1"}  # type: ignore[attr-defined]


def test_a_byte_order_mark_and_an_empty_file_are_fine(load: Load, tmp_path: Path) -> None:
    assert load("") == load("# nothing yet\n")
    path = tmp_path / "bom.yaml"
    path.write_bytes(b"\xef\xbb\xbfretention_days: 5\n")
    assert load_settings(path, {"VAST_API_KEY": "k"}).retention_days == 5.0


def test_anchors_are_for_repeating(load: Load) -> None:
    text = """\
streams:
  - {name: a, workload: {kind: tiny}, policy: &calm {probe_interval_s: 20}}
  - {name: b, workload: {kind: tiny}, policy: *calm}
"""
    assert [stream.policy for stream in load(text).streams] == [{"probe_interval_s": 20.0}] * 2


def test_a_pattern_has_words_only_while_some_key_has_it() -> None:
    schema = json.dumps(json_schema())
    gone = [each for each in _PATTERNS if json.dumps(each)[1:-1] not in schema]
    assert gone == []
