"""A plugin for mypy, with which `db.Model` is a class to derive from.

mypy looks base classes up in modules and in classes, never in variables. So the
name that `SQLAlchemy(...)` is assigned to becomes a class: its metaclass is the
extension, which gives it every attribute, and in it is the class `Model`.
"""

from __future__ import annotations

import typing as t

from mypy.mro import MroError
from mypy.mro import calculate_mro
from mypy.nodes import GDEF
from mypy.nodes import MDEF
from mypy.nodes import NameExpr
from mypy.nodes import RefExpr
from mypy.nodes import SymbolTableNode
from mypy.nodes import TypeInfo
from mypy.nodes import Var
from mypy.plugin import Plugin
from mypy.semanal import SemanticAnalyzer
from mypy.types import Instance

if t.TYPE_CHECKING:
    import collections.abc as cabc

    from mypy.plugin import DynamicClassDefContext

__all__ = ["plugin"]

_EXTENSION = "erlen_db.extension.SQLAlchemy"
_MODEL = "erlen_db.model.Model"
_DECLARATIVE = (
    "sqlalchemy.orm.decl_api.DeclarativeBase",
    "sqlalchemy.orm.decl_api.DeclarativeBaseNoMeta",
)
# Names that no program can write, and that the cache of mypy finds again.
_METACLASS = "<metaclass>"


def plugin(version: str) -> type[Plugin]:
    """Return the plugin; the settings of mypy name this module.

    `plugins = ["erlen_db.mypy_plugin"]` below `[tool.mypy]` in `pyproject.toml`.

    Args:
        version: The version of mypy.
    """
    return _DatabasePlugin


class _DatabasePlugin(Plugin):
    def get_dynamic_class_hook(
        self, fullname: str
    ) -> cabc.Callable[[DynamicClassDefContext], None] | None:
        symbol = self.lookup_fully_qualified(fullname)
        node = None if symbol is None else symbol.node
        if not isinstance(node, TypeInfo) or not node.has_base(_EXTENSION):
            return None
        return lambda ctx: _make_class(ctx, node)


def _make_class(ctx: DynamicClassDefContext, extension: TypeInfo) -> None:
    """Let the name of an extension be a class that has `Model`."""
    api = ctx.api
    assert isinstance(api, SemanticAnalyzer)  # the only one that there is
    model = extension.get("Model")
    if model is None or not isinstance(model.node, TypeInfo):
        return
    if not _is_defined_here(ctx, api):
        return
    info = api.basic_new_typeinfo(
        ctx.name, api.named_type("builtins.object"), ctx.call.line
    )
    if api.is_func_scope():
        # Locals are not in the cache of mypy: it looks there for them when it reads it.
        name = f"{ctx.name}@{ctx.call.line}"
        info._fullname = info.defn.fullname = f"{api.cur_mod_id}.{name}"
        api.globals[name] = SymbolTableNode(GDEF, info)
    bases = [Instance(extension, []), api.named_type("builtins.type")]
    meta = _add_class(info, _METACLASS, bases, api)
    info.declared_metaclass = info.metaclass_type = Instance(meta, [])
    _add_model(ctx, info, model.node, api)
    symbol = SymbolTableNode(api.current_symbol_kind(), info)
    api.add_symbol_table_node(ctx.name, symbol)


def _is_defined_here(ctx: DynamicClassDefContext, api: SemanticAnalyzer) -> bool:
    """Tell whether an assignment makes its name, for the first time."""
    symbol = api.lookup_current_scope(ctx.name)
    # In another round it is a class by now; what else it may be is not ours.
    if symbol is None or not isinstance(symbol.node, Var) or api.is_class_scope():
        return False
    targets = getattr(api.statement, "lvalues", [])
    return any(
        isinstance(it, NameExpr) and it.node is symbol.node and it.is_new_def
        for it in targets
    )


def _add_class(
    owner: TypeInfo, name: str, bases: list[Instance], api: SemanticAnalyzer
) -> TypeInfo:
    """Put a class of these bases into another one."""
    made = api.basic_new_typeinfo(name, bases[0], owner.line)
    made._fullname = made.defn.fullname = f"{owner.fullname}.{name}"
    made.bases, made.mro = bases, []
    calculate_mro(made, lambda: api.named_type("builtins.object"))
    made.metaclass_type = made.calculate_metaclass_type()
    owner.names[name] = SymbolTableNode(MDEF, made)
    return made


def _add_model(
    ctx: DynamicClassDefContext, info: TypeInfo, model: TypeInfo, api: SemanticAnalyzer
) -> None:
    """Put `Model` into the class, as `SQLAlchemy` makes it from `model_class`."""
    given = _find_model_class(ctx)
    if given is None or given.fullname == _MODEL:
        info.names["Model"] = SymbolTableNode(MDEF, model)
        return
    bases = [Instance(given, []), Instance(model, [])]
    if any(map(given.has_base, _DECLARATIVE)):
        if given.has_base(_MODEL):
            info.names["Model"] = SymbolTableNode(MDEF, given)
            return
        ours = next(it for it in model.mro if it.fullname == _MODEL)
        bases = [Instance(ours, []), Instance(given, [])]
    try:
        _add_class(info, "Model", bases, api)
    except MroError:  # it would be a TypeError when it runs
        info.names["Model"] = SymbolTableNode(MDEF, given)


def _find_model_class(ctx: DynamicClassDefContext) -> TypeInfo | None:
    """Return the class that is given as `model_class`, if it is one."""
    for name, value in zip(ctx.call.arg_names, ctx.call.args, strict=True):
        if name == "model_class" and isinstance(value, RefExpr):
            node = value.node
            return node if isinstance(node, TypeInfo) else None
    return None
