"""What the tests of the architecture read off the sources, without importing them."""

from __future__ import annotations

import ast
import io
import tokenize
import typing as t
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
#: The folder of each package, by its import name.
PACKAGES = {
    path.parent.name: path.parent
    for path in sorted(ROOT.glob("packages/*/src/*/__init__.py"))
}
CORE = PACKAGES["erlen"]

_NOT_CODE = {
    tokenize.COMMENT,
    tokenize.DEDENT,
    tokenize.ENCODING,
    tokenize.ENDMARKER,
    tokenize.INDENT,
    tokenize.NEWLINE,
    tokenize.NL,
}
_Documented = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Module:
    """One source file; `name` is dotted, from inside the package: `json.tag`."""

    name: str
    text: str
    is_package: bool = False

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.text)

    @cached_property
    def code_lines(self) -> frozenset[int]:
        """Numbers of the lines that are no docstring, comment or blank."""
        lines: set[int] = set()
        for token in tokenize.generate_tokens(io.StringIO(self.text).readline):
            if token.type not in _NOT_CODE:
                lines.update(range(token.start[0], token.end[0] + 1))
        for node in ast.walk(self.tree):
            if isinstance(node, _Documented) and ast.get_docstring(node) is not None:
                lines.difference_update(span(node.body[0]))
        return frozenset(lines)

    def size(self, node: ast.stmt) -> int:
        """Count the code lines of a class or a function, decorators apart."""
        return len(self.code_lines.intersection(span(node)))

    def imports(self, package: str, modules: t.Collection[str]) -> set[str]:
        """Return the modules of `package` that this one imports, anywhere in it."""
        targets: set[str] = set()
        for node in ast.walk(self.tree):
            for path in self._imported(node, package):
                # "from .json import tag" may mean a module or a name in one.
                found = path if path in modules else path.rpartition(".")[0]
                targets.add(found or "__init__")
        return targets - {self.name}

    def _imported(self, node: ast.AST, package: str) -> t.Iterator[str]:
        """Yield what `node` imports of the package, dotted from inside of it."""
        if isinstance(node, ast.Import):
            dotted = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = self._absolute("." * node.level + (node.module or ""), package)
            dotted = [f"{base}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith(
            ("import_module", "__import__")
        ):
            first = node.args[0]
            literal = isinstance(first, ast.Constant)
            dotted = [self._absolute(first.value, package)] if literal else []
        else:
            return
        for name in dotted:
            if name == package:
                yield "__init__"
            elif name.startswith(f"{package}."):
                yield name.removeprefix(f"{package}.")

    def _absolute(self, path: str, package: str) -> str:
        level = len(path) - len(path.lstrip("."))
        if not level:
            return path
        here = [package, *([] if self.name == "__init__" else self.name.split("."))]
        up = level - self.is_package
        return ".".join([*here[: len(here) - up], path[level:]]).rstrip(".")


def span(node: ast.stmt) -> range:
    """Return the numbers of the lines from the head of `node` to its end."""
    return range(node.lineno, (node.end_lineno or node.lineno) + 1)


def read_package(folder: Path) -> dict[str, Module]:
    """Read every module below `folder`, by its dotted name.

    A folder without `__init__.py` has none: its files are templates.
    """
    modules: dict[str, Module] = {}
    for path in sorted(folder.rglob("*.py")):
        if not (path.parent / "__init__.py").exists():
            continue
        parts = path.relative_to(folder).with_suffix("").parts
        is_package = parts[-1] == "__init__"
        name = ".".join(parts[:-1] if is_package else parts) or "__init__"
        modules[name] = Module(name, path.read_text(encoding="utf-8"), is_package)
    return modules
