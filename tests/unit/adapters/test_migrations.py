"""The steps of the store only add; one that does more names itself as the oldest that may read it."""

import ast
import re
from pathlib import Path

import pytest

from keeper.adapters import migrations, schema, tables

VERSIONS = Path(migrations.__file__).parent / "versions"
STEPS = {
    match[1]: path
    for path in sorted(VERSIONS.glob("v*.py"))
    if (match := re.match(r"v(\d{4})_", path.name))
}


def spoils(source: str) -> list[str]:
    """Say what in a step a keeper of before could not live with."""
    found = []
    for call in (node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)):
        match call.func:
            case ast.Attribute(value=ast.Name(id="op"), attr=verb):
                found += _spoilt_by(verb, call)
            case ast.Attribute(attr="execute" | "exec_driver_sql"):
                found.append("SQL of its own")
            case _:
                pass
    return found


def _spoilt_by(verb: str, call: ast.Call) -> list[str]:
    given = {key.arg: key.value for key in call.keywords}
    match verb:
        case "create_table":
            # A keeper of before never writes to it, so it may demand what it likes, but of others.
            return ["a foreign key"] if "ForeignKey" in ast.unparse(call) else []
        case "create_index":
            return ["a unique index"] if "unique" in given else []
        case "add_column":
            column = call.args[1]
            assert isinstance(column, ast.Call)
            options = {key.arg: ast.unparse(key.value) for key in column.keywords}
            is_free = options.get("nullable") != "False" or "server_default" in options
            return [] if is_free else ["a column that an older keeper does not fill"]
        case _:
            return [verb]


def may_be_read_from(source: str) -> str | None:
    """Read ``oldest_reader`` of a step: the schema before which a keeper must not go back."""
    for node in ast.parse(source).body:
        match node:
            case ast.Assign(
                targets=[ast.Name(id="oldest_reader")], value=ast.Constant(value=str(name))
            ):
                return name
            case _:
                pass
    return None


@pytest.mark.parametrize("revision", STEPS)
def test_a_step_only_adds_or_says_that_no_keeper_may_go_back_over_it(revision: str) -> None:
    source = STEPS[revision].read_text()
    if spoils(source):
        assert may_be_read_from(source) == revision, (
            f"{STEPS[revision].name} does more than add ({', '.join(spoils(source))}): give it "
            f"oldest_reader = {revision!r}, and raise OLDEST_READER in keeper/adapters/schema.py"
        )


def test_nobody_goes_back_over_a_step_that_forbids_it() -> None:
    forbidding = [may_be_read_from(path.read_text()) for path in STEPS.values()]
    assert schema.OLDEST_READER in tables.REVISIONS
    assert all(each <= schema.OLDEST_READER for each in forbidding if each is not None)


def test_every_step_is_one_that_the_keeper_knows() -> None:
    assert tuple(STEPS) == tables.REVISIONS


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        ('op.create_table("a", sa.Column("b", sa.Text, nullable=False))', []),
        ('op.create_index("ix_a_b", "a", ["b"])', []),
        ('op.add_column("a", sa.Column("b", sa.Text))', []),
        ('op.add_column("a", sa.Column("b", sa.Text, nullable=False, server_default=""))', []),
        ('op.add_column("a", sa.Column("b", sa.Text, nullable=False))',
         ["a column that an older keeper does not fill"]),
        ('op.create_index("ix_a_b", "a", ["b"], unique=True)', ["a unique index"]),
        ('op.create_table("a", sa.Column("b", sa.ForeignKey("c.d")))', ["a foreign key"]),
        ('op.drop_table("a")', ["drop_table"]),
        ('op.drop_column("a", "b")', ["drop_column"]),
        ('op.alter_column("a", "b", new_column_name="c")', ["alter_column"]),
        ('op.rename_table("a", "b")', ["rename_table"]),
        ('with op.batch_alter_table("a") as a: a.drop_column("b")', ["batch_alter_table"]),
        ('op.execute("DELETE FROM intents")', ["execute"]),
        ('op.get_bind().execute(sa.text("DELETE FROM intents"))', ["SQL of its own", "get_bind"]),
    ],
)  # fmt: skip
def test_what_a_keeper_of_before_could_not_live_with_is_seen(
    step: str, expected: list[str]
) -> None:
    assert spoils(step) == expected


def test_the_oldest_reader_of_a_step_is_read() -> None:
    assert may_be_read_from('revision = "0009"\noldest_reader = "0009"\n') == "0009"
    assert may_be_read_from('revision = "0009"\n') is None
