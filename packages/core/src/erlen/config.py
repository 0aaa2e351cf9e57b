"""Layer 0: the configuration, a dict that files, objects and the environment fill.

Only names in upper case are taken over from them.
"""

from __future__ import annotations

import collections.abc as cabc
import errno
import json
import os
import types
import typing as t
import warnings
from pathlib import Path

from werkzeug.utils import import_string

T = t.TypeVar("T")

# Read in this order when no prefix is given, so that the second one wins.
_PREFIXES = ("FLASK", "ERLEN")


class _Configured(t.Protocol):
    @property
    def config(self) -> Config: ...


class ConfigAttribute(t.Generic[T]):
    """An attribute of the application that reads and writes its configuration.

    Args:
        name: The configuration's key.
        get_converter: Applied to the value on reading.
    """

    def __init__(
        self, name: str, get_converter: t.Callable[[t.Any], T] | None = None
    ) -> None:
        self.__name__ = name
        self.get_converter = get_converter

    @t.overload
    def __get__(self, obj: None, owner: type[t.Any] | None = None) -> t.Self: ...
    @t.overload
    def __get__(self, obj: _Configured, owner: type[t.Any] | None = None) -> T: ...
    def __get__(
        self, obj: _Configured | None, owner: type[t.Any] | None = None
    ) -> T | t.Self:
        """Return the value, converted."""
        if obj is None:
            return self
        value = obj.config[self.__name__]
        if self.get_converter is not None:
            return self.get_converter(value)
        return t.cast("T", value)

    def __set__(self, obj: _Configured, value: t.Any) -> None:
        """Set the value in the configuration."""
        obj.config[self.__name__] = value


class Config(dict[str, t.Any]):
    """A dict with loaders, which take over the names in upper case only.

    Args:
        root_path: The folder that the names of files are relative to.
        defaults: The first keys and values.
    """

    def __init__(
        self,
        root_path: str | os.PathLike[str],
        defaults: dict[str, t.Any] | None = None,
    ) -> None:
        super().__init__(defaults or {})
        self.root_path = root_path

    def from_envvar(self, variable_name: str, silent: bool = False) -> bool:
        """Load the Python file that an environment variable names.

        Args:
            variable_name: The name of the variable that holds the file's name.
            silent: Accept that the variable or the file is missing.

        Returns:
            Whether the file was loaded.

        Raises:
            RuntimeError: The variable is not set or empty.
            OSError: The file cannot be read.
        """
        filename = os.environ.get(variable_name)
        if filename:
            return self.from_pyfile(filename, silent=silent)
        if silent:
            return False
        raise RuntimeError(
            f"The environment variable {variable_name!r} is not set, so there is no"
            " configuration file to load. Set it to the path of one, or pass"
            " silent=True if the file is optional."
        )

    def from_prefixed_env(
        self,
        prefix: str | None = None,
        *,
        loads: t.Callable[[str], t.Any] = json.loads,
    ) -> bool:
        """Load every environment variable that starts with a prefix.

        `ERLEN_MAIL__PORT=25` sets `config["MAIL"]["PORT"]`: a double underscore
        leads into a dict, which is made where it is missing.

        Args:
            prefix: The prefix, without its underscore. By default `FLASK_` and
                then `ERLEN_` are read, so that the latter wins.
            loads: Reads a value; what it raises an exception for is taken as
                the string that it is.

        Returns:
            True.

        Raises:
            TypeError: A double underscore leads into something that is no dict.
        """
        prefixes = _PREFIXES if prefix is None else (prefix,)
        for start in (f"{name}_" for name in prefixes):
            # Sorted, so that a dict is set before its items.
            for name in sorted(os.environ):
                if name.startswith(start):
                    try:
                        value = loads(os.environ[name])
                    except Exception:  # noqa: BLE001  (`loads` is anybody's)
                        value = os.environ[name]
                    self._set_nested(name, name.removeprefix(start), value)
        return True

    def _set_nested(self, variable: str, path: str, value: t.Any) -> None:
        *parents, key = path.split("__")
        target: cabc.MutableMapping[str, t.Any] = self
        for depth, parent in enumerate(parents, 1):
            value_there: t.Any = target.setdefault(parent, {})
            if not isinstance(value_there, cabc.MutableMapping):
                raise TypeError(
                    f"The environment variable {variable!r} sets a key inside"
                    f" {'__'.join(parents[:depth])!r}, which is of type"
                    f" {type(value_there).__name__!r}. A double underscore leads into"
                    " a dict: rename the variable, or make the value a dict."
                )
            target = t.cast("cabc.MutableMapping[str, t.Any]", value_there)
        target[key] = value

    def from_pyfile(
        self, filename: str | os.PathLike[str], silent: bool = False
    ) -> bool:
        """Run a Python file and take over its names.

        Args:
            filename: The file, of any suffix.
            silent: Accept that the file is missing.

        Returns:
            Whether the file was loaded.

        Raises:
            OSError: The file cannot be read.
            SyntaxError: The file is not Python.
        """
        module = types.ModuleType("config")
        path = self._path("from_pyfile", filename)
        module.__file__ = str(path)
        missing = (errno.ENOENT, errno.EISDIR, errno.ENOTDIR) if silent else ()
        try:
            code = path.read_bytes()
        except OSError as exc:
            if exc.errno in missing:
                return False
            self._explain(exc)
            raise
        exec(compile(code, path, "exec"), module.__dict__)  # noqa: S102  (its purpose)
        self.from_object(module)
        return True

    def from_object(self, obj: object | str) -> None:
        """Take over the attributes of a module, a class or another object.

        Args:
            obj: The object, or its import name, such as `"settings.Production"`.

        Raises:
            ImportError: Nothing has that import name.
        """
        if isinstance(obj, str):
            obj = import_string(obj)
        found = {name: getattr(obj, name) for name in dir(obj) if name.isupper()}
        if not found and isinstance(obj, cabc.Mapping):
            # COMPAT: no error, as Flask passes over a dict in silence.
            warnings.warn(
                "Config.from_object() takes over attributes, and this dict has none in"
                " upper case. Use Config.from_mapping() for a dict.",
                stacklevel=2,
            )
        self.update(found)

    def from_file(
        self,
        filename: str | os.PathLike[str],
        load: t.Callable[[t.IO[t.Any]], cabc.Mapping[str, t.Any]],
        silent: bool = False,
        text: bool = True,
    ) -> bool:
        """Load a file by a function, such as `json.load` or `tomllib.load`.

        Args:
            filename: The file.
            load: Called with the open file; returns a mapping.
            silent: Accept that the file is missing.
            text: Open the file as text; `tomllib.load` wants False.

        Returns:
            Whether the file was loaded.

        Raises:
            OSError: The file cannot be read.
            TypeError: `load` did not return a mapping.
        """
        path = self._path("from_file", filename)
        missing = (errno.ENOENT, errno.EISDIR) if silent else ()
        try:
            with path.open("r" if text else "rb") as file:
                obj = load(file)
        except OSError as exc:
            if exc.errno in missing:
                return False
            self._explain(exc)
            raise
        try:
            return self.from_mapping(obj)
        except TypeError as exc:
            exc.add_note(f"It was loaded from the file {str(path)!r}.")
            raise

    def from_mapping(
        self, mapping: cabc.Mapping[str, t.Any] | None = None, **kwargs: t.Any
    ) -> bool:
        """Take over the items of a mapping and the keyword arguments.

        Args:
            mapping: A mapping, or pairs of key and value.
            **kwargs: More of them; they win.

        Returns:
            True.

        Raises:
            TypeError: `mapping` is no mapping, or a key is no string.
        """
        try:
            items: dict[t.Any, t.Any] = dict(() if mapping is None else mapping)
        except (TypeError, ValueError) as exc:
            raise TypeError(
                "A configuration must be a mapping of names to values, and this is"
                f" of type {type(mapping).__name__!r}."
            ) from exc
        items.update(kwargs)
        for key, value in items.items():
            if not isinstance(key, str):
                raise TypeError(
                    "The names in a configuration must be strings, and"
                    f" {key!r} is of type {type(key).__name__!r}."
                )
            if key.isupper():
                self[key] = value
        return True

    def get_namespace(
        self, namespace: str, lowercase: bool = True, trim_namespace: bool = True
    ) -> dict[str, t.Any]:
        """Collect the keys that start with a prefix, as keyword arguments.

        Args:
            namespace: The prefix, with its underscore.
            lowercase: Make the keys lower case.
            trim_namespace: Leave the prefix out of the keys.

        Returns:
            A new dict.
        """
        found: dict[str, t.Any] = {}
        for name, value in self.items():
            if name.startswith(namespace):
                key = name[len(namespace) :] if trim_namespace else name
                found[key.lower() if lowercase else key] = value
        return found

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {super().__repr__()}>"

    def _path(self, caller: str, filename: str | os.PathLike[str]) -> Path:
        try:
            return Path(self.root_path, filename)
        except TypeError as exc:
            raise TypeError(
                f"Config.{caller}() takes the name of a file, not an object of type"
                f" {type(filename).__name__!r}."
            ) from exc

    def _explain(self, exc: OSError) -> None:
        exc.strerror = (
            f"Unable to load configuration file ({exc.strerror}); names are relative"
            f" to {os.fspath(self.root_path)!r}, and silent=True accepts that a file"
            " is missing"
        )
