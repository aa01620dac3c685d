"""Every await of keeper as a place of its own: found in the source, and marked while it runs.

The source is read, each await is given a number, and the code objects of the loaded functions are
replaced by the same code with a mark before and after each await. So a test can count what a story
passes, and cut the power at exactly one of those marks: also at an await that never gives the loop
away, and at one that is passed while a hundred others wait. Nothing in production knows of this.
"""

import ast
import asyncio
import importlib
import inspect
import types
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol

from typing_extensions import override

import keeper

ROOT = Path(keeper.__file__).parent.parent
_MARKS = ("__keeper_await__", "__keeper_async_with__", "__keeper_async_for__")
_TEXT_MAX = 70


class Edge(StrEnum):
    """Which side of an await."""

    BEFORE = "before"
    AFTER = "after"


@dataclass(frozen=True, slots=True, order=True)
class Site:
    """One place at which keeper waits."""

    path: str
    line: int
    column: int
    function: str
    text: str

    @override
    def __str__(self) -> str:
        return f"{self.path}:{self.line} in {self.function}: {self.text}"


class Witness(Protocol):
    """Who is told of each mark."""

    def passed(self, site: int, edge: Edge) -> bool:
        """Take a mark; says whether there is still power after it."""


class Marked:
    """The awaits of some modules, and how to mark them."""

    def __init__(self, modules: Sequence[str]) -> None:
        self.sites: list[Site] = []
        self._codes: dict[str, dict[tuple[str, int], types.CodeType]] = {}  # by module
        for name in sorted(modules):
            module = importlib.import_module(name)
            path = Path(inspect.getfile(module))
            marker = _Marker(str(path.relative_to(ROOT)), self.sites)
            tree = marker.visit(ast.parse(path.read_text(encoding="utf-8")))
            ast.fix_missing_locations(tree)
            code = compile(tree, str(path), "exec", dont_inherit=True)
            self._codes[name] = {_place(each): each for each in _inside(code)}

        self._functions = [
            (function, function.__code__, marked)
            for name, codes in self._codes.items()
            for function in _functions(importlib.import_module(name))
            if (marked := codes.get(_place(function.__code__))) is not None
        ]

    @contextmanager
    def telling(self, witness: Witness) -> Iterator[None]:
        """Tell this one of every mark for a while, or until ``hush``."""
        for name in self._codes:
            vars(importlib.import_module(name)).update(zip(_MARKS, _marks(witness), strict=True))
        try:
            for function, _, marked in self._functions:
                function.__code__ = marked
            yield
        finally:
            self.hush()

    def hush(self) -> None:
        """Mark nothing that begins from here on."""
        for function, code, _ in self._functions:
            function.__code__ = code


class _Marker(ast.NodeTransformer):
    """Wraps what is awaited; numbers the places in the order of the source."""

    def __init__(self, path: str, sites: list[Site]) -> None:
        self._path = path
        self._sites = sites
        self._inside: list[str] = []

    def _new(self, node: ast.expr, text: str) -> ast.expr:
        function = ".".join(self._inside)
        text = " ".join(text.split())
        text = text if len(text) <= _TEXT_MAX else text[: _TEXT_MAX - 1] + "…"
        self._sites.append(Site(self._path, node.lineno, node.col_offset, function, text))
        return ast.Constant(len(self._sites) - 1)

    def _named(self, node: Any) -> ast.AST:
        self._inside.append(node.name)
        found = self.generic_visit(node)
        self._inside.pop()
        return found

    visit_ClassDef = visit_FunctionDef = visit_AsyncFunctionDef = _named  # noqa: N815 - ast's names

    @override
    def visit_Await(self, node: ast.Await) -> ast.AST:
        number = self._new(node, ast.unparse(node))
        self.generic_visit(node)
        node.value = _call(_MARKS[0], node.value, number)
        return node

    @override
    def visit_AsyncWith(self, node: ast.AsyncWith) -> ast.AST:
        for item in node.items:
            said = ast.unparse(item.context_expr)
            entering = self._new(item.context_expr, f"async with {said}, entering")
            leaving = self._new(item.context_expr, f"async with {said}, leaving")
            self.visit(item.context_expr)
            item.context_expr = _call(_MARKS[1], item.context_expr, entering, leaving)
        node.body = [self.visit(each) for each in node.body]
        return node

    @override
    def visit_AsyncFor(self, node: ast.AsyncFor) -> ast.AST:
        number = self._new(node.iter, f"async for … in {ast.unparse(node.iter)}")
        self.generic_visit(node)
        node.iter = _call(_MARKS[2], node.iter, number)
        return node

    @override
    def visit_comprehension(self, node: ast.comprehension) -> ast.AST:
        if node.is_async:
            number = self._new(node.iter, f"async for … in {ast.unparse(node.iter)}")
            node.iter = _call(_MARKS[2], node.iter, number)
        return self.generic_visit(node)


def _call(name: str, value: ast.expr, *numbers: ast.expr) -> ast.expr:
    call = ast.Call(func=ast.Name(name, ast.Load()), args=[value, *numbers], keywords=[])
    return ast.copy_location(call, value)


def _place(code: types.CodeType) -> tuple[str, int]:
    return code.co_qualname, code.co_firstlineno


def _inside(code: types.CodeType) -> Iterator[types.CodeType]:
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield constant
            yield from _inside(constant)


def _functions(module: types.ModuleType) -> Iterator[types.FunctionType]:
    """Yield the functions that a module defines, its classes' and what a decorator hides."""
    for value in list(vars(module).values()):
        if getattr(value, "__module__", None) != module.__name__:
            continue
        members = list(vars(value).values()) if isinstance(value, type) else [value]
        for member in members:
            function = getattr(member, "fget", None) or getattr(member, "__func__", member)
            function = inspect.unwrap(function) if callable(function) else function
            if isinstance(function, types.FunctionType):
                yield function


# --- the marks ------------------------------------------------------------------------------------


def _marks(witness: Witness) -> tuple[Callable[..., Any], ...]:
    """Return what stands in the code for ``await``, ``async with`` and ``async for``."""
    passed, before, after = witness.passed, Edge.BEFORE, Edge.AFTER

    async def at_await(awaited: Awaitable[Any], site: int) -> Any:
        if not passed(site, before):
            await _never(awaited)
        try:
            value = await awaited
        except BaseException:
            passed(site, after)  # an error goes on its way, as it would without us
            raise
        if not passed(site, after):
            await _for_ever()
        return value

    def at_with(manager: Any, entering: int, leaving: int) -> _With:
        return _With(at_await, manager, entering, leaving)

    def at_for(iterable: Any, site: int) -> _For:
        return _For(at_await, iterable.__aiter__(), site)

    return at_await, at_with, at_for


async def _never(awaited: Awaitable[Any]) -> None:
    """Wait for ever in front of something that will not be begun."""
    try:
        await _for_ever()
    finally:
        if inspect.iscoroutine(awaited):
            awaited.close()
        elif isinstance(awaited, asyncio.Future):
            awaited.cancel()  # as it would be had somebody waited for it


async def _for_ever() -> None:
    await asyncio.get_running_loop().create_future()


@dataclass(slots=True)
class _With:
    at_await: Callable[[Awaitable[Any], int], Awaitable[Any]]
    manager: Any
    entering: int
    leaving: int

    async def __aenter__(self) -> Any:
        return await self.at_await(self.manager.__aenter__(), self.entering)

    async def __aexit__(self, *error: object) -> Any:
        return await self.at_await(self.manager.__aexit__(*error), self.leaving)


@dataclass(slots=True)
class _For:
    at_await: Callable[[Awaitable[Any], int], Awaitable[Any]]
    iterator: Any
    site: int

    def __aiter__(self) -> Any:
        return self

    async def __anext__(self) -> Any:
        return await self.at_await(self.iterator.__anext__(), self.site)
