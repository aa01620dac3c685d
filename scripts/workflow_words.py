"""The words that a workflow may use: expressions, contexts, actions' inputs, runners, variables of scripts.

GitHub says nothing of most mistakes in them until a workflow runs, and of some not even then. What is written
down here is GitHub's; where it comes from is said beside it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field


class WordError(Exception):
    """What is wrong with an expression, in words that can follow it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """What an action takes and gives."""

    inputs: frozenset[str]
    outputs: frozenset[str] = frozenset()


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


def _action(inputs: str, outputs: str = "") -> Action:
    return Action(inputs=_words(inputs), outputs=_words(outputs))


# Each from its own action.yml at the commit that the workflows pin (github.com, 2026-11-22).
ACTIONS: Mapping[str, Action] = {
    "actions/checkout": _action(
        "repository ref token ssh-key ssh-known-hosts ssh-strict ssh-user persist-credentials path clean filter"
        " sparse-checkout sparse-checkout-cone-mode fetch-depth fetch-tags show-progress lfs submodules"
        " set-safe-directory github-server-url allow-unsafe-pr-checkout",
        "ref commit",
    ),
    "actions/setup-python": _action(
        "python-version python-version-file cache architecture check-latest token cache-dependency-path"
        " update-environment allow-prereleases freethreaded pip-version",
        "python-version cache-hit python-path",
    ),
    "actions/attest": _action(
        "subject-path subject-digest subject-name subject-checksums subject-version sbom-path predicate-type"
        " predicate predicate-path push-to-registry create-storage-record show-summary github-token",
        "bundle-path attestation-id attestation-url storage-record-ids",
    ),
    "actions/upload-artifact": _action(
        "name path if-no-files-found retention-days compression-level overwrite include-hidden-files archive",
        "artifact-id artifact-url artifact-digest",
    ),
    "actions/download-artifact": _action(
        "name artifact-ids path pattern merge-multiple github-token repository run-id skip-decompress"
        " digest-mismatch",
        "download-path",
    ),
    "docker/setup-buildx-action": _action(
        "version driver driver-opts buildkitd-flags buildkitd-config buildkitd-config-inline use name endpoint"
        " platforms append keep-state cache-binary cleanup",
        "name driver platforms nodes endpoint status flags",
    ),
    "docker/login-action": _action("registry username password ecr scope logout registry-auth"),
    "docker/build-push-action": _action(
        "add-hosts allow annotations attests build-args build-contexts builder cache-from cache-to call"
        " cgroup-parent context file labels load network no-cache no-cache-filters outputs platforms provenance"
        " pull push sbom secrets secret-envs secret-files shm-size ssh tags target ulimit github-token",
        "imageid digest metadata",
    ),
}
# Those of Linux that GitHub lends (docs.github.com, GitHub-hosted runners, 2026).
RUNNERS = _words("ubuntu-latest ubuntu-24.04 ubuntu-22.04 ubuntu-24.04-arm ubuntu-22.04-arm")

# --- expressions (docs.github.com: expressions, and contexts with their availability) -----------------

# How many arguments a function takes, at least and at most. Names of functions know no case.
FUNCTIONS: Mapping[str, tuple[int, int]] = {
    "contains": (2, 2),
    "startswith": (2, 2),
    "endswith": (2, 2),
    "format": (2, 255),
    "join": (1, 2),
    "tojson": (1, 1),
    "fromjson": (1, 1),
    "hashfiles": (1, 255),
    "always": (0, 0),
    "success": (0, 0),
    "failure": (0, 0),
    "cancelled": (0, 0),
}
OF_CONDITIONS = {"always", "success", "failure", "cancelled"}
LITERALS = {"true", "false", "null", "NaN", "Infinity"}
CONTEXTS = _words("github env vars job jobs steps runner secrets strategy matrix needs inputs")
OF_WORKFLOW = frozenset({"github", "inputs", "vars"})
OF_JOB = OF_WORKFLOW | {"needs", "strategy", "matrix"}
OF_STEP = CONTEXTS - {"jobs"}
# The keys of a job in which more, or less, is known than in its others.
IN_JOB: Mapping[str, frozenset[str]] = {
    "if": OF_JOB - {"strategy", "matrix"},
    "strategy": OF_JOB - {"strategy", "matrix"},
    "env": OF_JOB | {"secrets"},
    "secrets": OF_JOB | {"secrets"},
    "container": OF_JOB | {"secrets", "env"},
    "services": OF_JOB | {"secrets", "env"},
    "outputs": OF_STEP,
}
GITHUB_MEMBERS = _words(
    "action action_path action_ref action_repository action_status actor actor_id api_url base_ref env event"
    " event_name event_path graphql_url head_ref job path ref ref_name ref_protected ref_type repository"
    " repository_id repository_owner repository_owner_id repositoryUrl retention_days run_attempt run_id"
    " run_number secret_source server_url sha token triggering_actor workflow workflow_ref workflow_sha"
    " workspace"
)
TOKEN = re.compile(
    r"(?P<text>'(?:[^']|'')*')|(?P<number>[-+]?(?:0x[0-9a-fA-F]+|\d+(?:\.\d+)?(?:[eE][-+]?\d+)?))"
    r"|(?P<word>[A-Za-z_][\w-]*)|(?P<sign>&&|\|\||[=!<>]=|[<>!()\[\],.*])"
)
BETWEEN = {"&&", "||", "==", "!=", "<", ">", "<=", ">="}


def expression_amiss(text: str, contexts: frozenset[str], *, is_condition: bool) -> str | None:
    """Say why an expression is none, or uses what is not to be had where it stands; None: it is well."""
    try:
        _Reader(
            tokens=[*_tokens(text)], contexts=contexts, is_condition=is_condition
        ).read_to_the_end()
    except WordError as error:
        return str(error)
    return None


def _tokens(text: str) -> Iterator[tuple[str, str]]:
    at = 0
    while rest := text[at:].lstrip():
        at = len(text) - len(rest)
        match = TOKEN.match(text, at)
        if match is None:
            msg = f"is broken at {rest[:10]!r}"
            raise WordError(msg)
        yield str(match.lastgroup), match[0]
        at = match.end()


@dataclass(slots=True, kw_only=True)
class _Reader:
    """Reads an expression from left to right; which operator binds closer makes none wrong."""

    tokens: list[tuple[str, str]]
    contexts: frozenset[str]
    is_condition: bool
    at: int = field(default=0)

    def read_to_the_end(self) -> None:
        self._expression()
        if self.at < len(self.tokens):
            msg = f"goes on with {self._next()[1]!r}"
            raise WordError(msg)

    def _next(self) -> tuple[str, str]:
        return self.tokens[self.at] if self.at < len(self.tokens) else ("end", "")

    def _take(self, *signs: str) -> bool:
        is_there = self._next() in [("sign", sign) for sign in signs]
        self.at += is_there
        return is_there

    def _want(self, sign: str) -> None:
        if not self._take(sign):
            msg = f"lacks a {sign!r}"
            raise WordError(msg)

    def _expression(self) -> None:
        self._operand()
        while self._take(*BETWEEN):
            self._operand()

    def _operand(self) -> None:
        while self._take("!"):
            pass
        kind, text = self._next()
        self.at += 1
        match kind, text:
            case (("text" | "number"), _):
                pass
            case "sign", "(":
                self._expression()
                self._want(")")
            case "word", _ if self._take("("):
                self._call(text)
            case "word", _:
                self._name(text)
            case _:
                msg = f"lacks something before {text!r}" if text else "is not complete"
                raise WordError(msg)
        self._members()

    def _call(self, name: str) -> None:
        known = FUNCTIONS.get(name.lower())
        if known is None:
            msg = f"calls {name}(), which is no function"
            raise WordError(msg)
        if name.lower() in OF_CONDITIONS and not self.is_condition:
            msg = f"calls {name}(), which only a condition can"
            raise WordError(msg)
        count = 0
        if not self._take(")"):
            count = 1
            self._expression()
            while self._take(","):
                count += 1
                self._expression()
            self._want(")")
        if not known[0] <= count <= known[1]:
            msg = f"calls {name}() with {count} arguments"
            raise WordError(msg)

    def _name(self, name: str) -> None:
        if name in LITERALS or name in self.contexts:
            return
        if name in CONTEXTS:
            msg = f"uses {name}, which is not to be had there"
        else:
            msg = f"uses {name}, which is of no context"
        raise WordError(msg)

    def _members(self) -> None:
        while True:
            if self._take("."):
                if not self._take("*"):
                    if self._next()[0] != "word":
                        msg = "ends a name with a dot"
                        raise WordError(msg)
                    self.at += 1
            elif self._take("["):
                if not self._take("*"):
                    self._expression()
                self._want("]")
            else:
                return


# --- the variables of a script ------------------------------------------------------------------------

# What the runner and the shell set (docs.github.com: default environment variables).
SET_BY_GITHUB = _words(
    "CI GITHUB_ACTION GITHUB_ACTION_PATH GITHUB_ACTION_REPOSITORY GITHUB_ACTIONS GITHUB_ACTOR GITHUB_ACTOR_ID"
    " GITHUB_API_URL GITHUB_BASE_REF GITHUB_ENV GITHUB_EVENT_NAME GITHUB_EVENT_PATH GITHUB_GRAPHQL_URL"
    " GITHUB_HEAD_REF GITHUB_JOB GITHUB_OUTPUT GITHUB_PATH GITHUB_REF GITHUB_REF_NAME GITHUB_REF_PROTECTED"
    " GITHUB_REF_TYPE GITHUB_REPOSITORY GITHUB_REPOSITORY_ID GITHUB_REPOSITORY_OWNER"
    " GITHUB_REPOSITORY_OWNER_ID GITHUB_RETENTION_DAYS GITHUB_RUN_ATTEMPT GITHUB_RUN_ID GITHUB_RUN_NUMBER"
    " GITHUB_SERVER_URL GITHUB_SHA GITHUB_STEP_SUMMARY GITHUB_TRIGGERING_ACTOR GITHUB_WORKFLOW"
    " GITHUB_WORKFLOW_REF GITHUB_WORKFLOW_SHA GITHUB_WORKSPACE RUNNER_ARCH RUNNER_DEBUG RUNNER_ENVIRONMENT"
    " RUNNER_NAME RUNNER_OS RUNNER_TEMP RUNNER_TOOL_CACHE"
    " HOME PATH PWD OLDPWD USER SHELL LANG IFS RANDOM SECONDS UID EUID HOSTNAME LINENO PIPESTATUS"
)
USED = re.compile(r"\$\{?[#!]?([A-Za-z_]\w*)")
SET = re.compile(
    r"(?:^|[\s;&|(])(?:([A-Z_][A-Z0-9_]*)\+?=|for\s+([A-Z_]\w*)\s|read\s+(?:-\w+\s+)*([A-Z_]\w*))",
    re.MULTILINE,
)


def unset_variables(script: str, known: frozenset[str]) -> Iterator[str]:
    """Give the upper-case variables that a script uses and nobody sets; shellcheck sees to the others."""
    known |= SET_BY_GITHUB | {name for match in SET.findall(script) for name in match if name}
    for name in dict.fromkeys(_variables(script)):
        if name.isupper() and name not in known:
            yield name


def _variables(script: str) -> Iterator[str]:
    """Give every variable that is used outside single quotes and comments."""
    inside: list[str] = []  # quotes and parentheses that are open
    at = 0
    while at < len(script):
        letter = script[at]
        is_quoted = inside[-1:] == ['"']
        if letter == "\\":
            at += 1
        elif letter == "$" and (used := USED.match(script, at)):
            yield used[1]
            at = used.end() - 1
        elif letter == '"':
            if is_quoted:
                inside.pop()
            else:
                inside.append(letter)
        elif letter == "(" and (not is_quoted or script[at - 1 : at] == "$"):
            inside.append(letter)
        elif is_quoted:
            pass
        elif letter == ")" and inside:
            inside.pop()
        elif letter == "'":
            at = _after(script, "'", at + 1)
        elif letter == "#" and (at == 0 or script[at - 1] in " \t\n;"):
            at = _after(script, "\n", at)
        at += 1


def _after(script: str, letter: str, at: int) -> int:
    found = script.find(letter, at)
    return len(script) if found < 0 else found
