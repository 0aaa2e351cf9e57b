"""Layer 0: the configuration, a dict that files, objects and the environment fill.

Only names in upper case are taken over from them. Settings can be declared with
a type; the dict stays the one place of their values, and is written as any dict.
"""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import errno
import json
import os
import types
import typing as t
import warnings
from pathlib import Path

from werkzeug.utils import import_string

from . import _settings
from ._defaults import SETTINGS
from ._settings import REQUIRED
from ._settings import SECRET_NAME
from ._settings import ConfigError
from ._settings import ConfigWarning
from ._settings import Setting

T = t.TypeVar("T")

_APPLICATION = "application"

# Read in this order when no prefix is given, so that the second one wins.
_PREFIXES = ("FLASK", "ERLEN")


def _is_name(key: t.Any) -> bool:
    return isinstance(key, str) and key.isupper()


def _import_name(obj: object) -> str:
    """Return the name of a module or class; of an instance never what it holds."""
    if isinstance(obj, types.ModuleType):
        return obj.__name__
    cls = obj if isinstance(obj, type) else type(obj)
    return f"{cls.__module__}.{cls.__qualname__}"


def _missing(setting: Setting) -> str:
    return (
        f"{setting.label} is not set, and {setting.owner!r} needs it. Set"
        f' app.config["{setting.key}"], of type {_settings.describe(setting.type)}, or'
        f" the environment variable ERLEN_{setting.key} and call"
        " app.config.from_prefixed_env()."
    )


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

    # Replaced and never changed, so that copies may share them.
    _settings: cabc.Mapping[str, Setting] = {it.key: it for it in SETTINGS}
    #: What a loader stored, where it had that from, and the text if it was one.
    _origins: cabc.Mapping[str, tuple[t.Any, str, str | None]] = {}
    _owner = _APPLICATION
    _file = ""  # being loaded

    def __init__(
        self,
        root_path: str | os.PathLike[str],
        defaults: dict[str, t.Any] | None = None,
    ) -> None:
        super().__init__(defaults or {})
        self.root_path = root_path
        self._remember(self, "default")

    def __missing__(self, key: t.Any) -> t.NoReturn:
        exc = KeyError(key)
        if _is_name(key):
            near = _settings.nearest(key, frozenset(self))
            if near:
                exc.add_note(f"Did you mean {near!r}?")
        raise exc

    def __getstate__(self) -> dict[str, t.Any]:
        # What was loaded, and replaced since, need not be fit for a copy.
        stored = self._origins.items()
        now = {key: it for key, it in stored if self.get(key, REQUIRED) is it[0]}
        return {**vars(self), "_origins": now}

    # Settings with types

    @property
    def settings(self) -> cabc.Mapping[str, Setting]:
        """All that was declared by key, Erlen's own settings among it."""
        return types.MappingProxyType(self._settings)

    def declare(
        self, key: str, type: t.Any, default: t.Any, doc: str, *, secret: bool = False
    ) -> None:
        """Declare a setting, and set its default where it has no value.

        The value is checked and converted at once, or for an extension with all its
        others at the end of `extension.setup`.

        Args:
            key: The key, in upper case; an extension's starts with its own prefix.
            type: What fits: a class, or a form of `typing` such as `str | None`.
            default: The default; `extension.REQUIRED` if there has to be a value.
            doc: One line that says what the setting is for.
            secret: Never show the value; a name such as `API_KEY` says so by itself.

        Raises:
            ConfigError: Somebody else has declared the key, or its value does not fit.
            ValueError: The declaration itself is wrong.
        """
        secret = secret or SECRET_NAME.search(key) is not None
        setting = Setting(key, type, default, doc, self._owner, secret)
        self._declare(setting)
        if self._owner == _APPLICATION:
            self._check([setting], warn=False)

    def validate(self, owner: str | None = None) -> None:
        """Check declared settings, and convert their values in place.

        Warns by `extension.ConfigWarning` of keys that are probably misspelt.

        Args:
            owner: Whose; None for all.

        Raises:
            ConfigError: Some do not fit or are missing; all of them are named.
        """
        self._check([it for it in self._settings.values() if owner in {None, it.owner}])

    def misspelt(self) -> list[tuple[str, str]]:
        """Return keys that nobody declared, each with the key that was probably meant."""
        return self._misspelt(self._settings)

    def origin(self, key: str) -> str:
        """Say where a value came from.

        Returns:
            `"default"`, `"environment NAME"`, `"file PATH"`, `"object NAME"`,
            `"mapping"`, or `"code"` for what was assigned since.

        Raises:
            KeyError: The key is not set.
        """
        value = self[key]
        stored, origin, _ = self._origins.get(key, (REQUIRED, "", None))
        return origin if stored is value else "code"

    def bind(self, cls: type[T], prefix: str = "") -> T:
        """Declare the fields of a dataclass as settings, and read them through it.

        The field `page_size: int = 20` is the setting `PAGE_SIZE`. Its line of docs is
        `Annotated[int, "..."]`, or `metadata={"doc": ...}`; `field(repr=False)` makes
        it secret.

        Args:
            cls: The dataclass.
            prefix: Put in front of each key.

        Returns:
            An instance that keeps its values in this configuration.

        Raises:
            ConfigError: Values do not fit or are missing, or `__post_init__` raised a
                ValueError or TypeError.
        """
        found = _settings.fields_as_settings(cls, prefix, self._owner, self._settings)
        for setting in found.values():
            self._declare(setting)
        self._check(found.values())
        keys = {name: it.key for name, it in found.items()}
        try:
            return _settings.live(cls, keys, self)
        except (TypeError, ValueError) as exc:
            raise ConfigError(f"{cls.__qualname__}: {exc}") from exc

    def _declare(self, setting: Setting) -> None:
        setting.check()
        key, owner = setting.key, setting.owner
        known = self._settings.get(key, setting)
        if known != setting:
            raise ConfigError(
                f"{owner!r} cannot declare {key}: {known.owner!r} has declared it"
                f"{' in another way' * (known.owner == owner)}. Use another key; those of"
                " an extension start with its own prefix, such as MAIL_."
            )
        self._settings = {**self._settings, key: setting}
        if key not in self and setting.default is not REQUIRED:
            self[key] = setting.default
            self._remember({key: setting.default}, "default")

    def _check(self, settings: cabc.Collection[Setting], warn: bool = True) -> None:
        problems: list[str] = []
        for setting in settings:
            if setting.key in self:
                try:
                    self._convert(setting)
                except _settings.MisfitError as exc:
                    problems.append(f"{setting.misfit(exc)} {self._cure(setting.key)}")
            elif setting.default is REQUIRED:
                problems.append(_missing(setting))
        stray = [
            f"{key} is set (origin: {self.origin(key)}), and no setting has that name:"
            f" did you mean {near}?"
            for key, near in self._misspelt({it.key for it in settings})
        ]
        if problems:
            raise ConfigError(*problems, *stray)
        for line in stray if warn else ():
            warnings.warn(line, ConfigWarning, stacklevel=3)

    def _cure(self, key: str) -> str:
        origin = self.origin(key)
        if origin == "code":
            return f'Correct app.config["{key}"].'
        return f"Correct it where it is set: {origin}."

    def _convert(self, setting: Setting) -> None:
        key = setting.key
        value = self[key]
        stored, origin, text = self._origins.get(key, (REQUIRED, "", None))
        if text is None or stored is not value:
            made = _settings.convert(value, setting.type)
        else:
            made = _settings.convert_text(value, text, setting.type)
        if made is not value:
            self[key] = made
            if stored is value:
                self._remember({key: made}, origin)

    def _misspelt(self, names: cabc.Iterable[str]) -> list[tuple[str, str]]:
        among = frozenset(names)
        strays = (key for key in self if _is_name(key) and key not in self._settings)
        found = ((key, _settings.nearest(key, among)) for key in strays)
        return [(key, near) for key, near in found if near]

    def _remember(
        self, found: cabc.Mapping[str, t.Any], origin: str, text: str | None = None
    ) -> None:
        origin = self._file or origin
        self._origins = {
            **self._origins,
            **{key: (value, origin, text) for key, value in found.items()},
        }

    # Loaders

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
        leads into a dict, which is made where it is missing. What is declared is taken
        as its type says: `007` as a str, `off` as a bool.

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
                    self._set_text(name, name.removeprefix(start), loads)
        return True

    def _set_text(
        self, variable: str, path: str, loads: t.Callable[[str], t.Any]
    ) -> None:
        text = os.environ[variable]
        try:
            value = loads(text)
        except Exception:  # noqa: BLE001  (`loads` is anybody's)
            value = text
        self._set_nested(variable, path, value)
        key = path.partition("__")[0]
        whole = text if key == path else None
        self._remember({key: self[key]}, f"environment {variable}", whole)
        if key in self._settings:
            with contextlib.suppress(_settings.MisfitError):  # `validate` tells of it
                self._convert(self._settings[key])

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
        with self._loading(path):
            self.from_object(module)
        return True

    def from_object(self, obj: object | str) -> None:
        """Take over the attributes of a module, a class or another object.

        Args:
            obj: The object, or its import name, such as `"settings.Production"`.

        Raises:
            ImportError: Nothing has that import name.
        """
        origin = f"object {obj if isinstance(obj, str) else _import_name(obj)}"
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
        self._remember(found, origin)

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
            with self._loading(path):
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
        taken: dict[str, t.Any] = {}
        for key, value in items.items():
            if not isinstance(key, str):
                raise TypeError(
                    "The names in a configuration must be strings, and"
                    f" {key!r} is of type {type(key).__name__!r}."
                )
            if key.isupper():
                self[key] = taken[key] = value
        self._remember(taken, "mapping")
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

    @contextlib.contextmanager
    def _loading(self, path: Path) -> cabc.Generator[None]:
        self._file = f"file {path}"
        try:
            yield
        finally:
            self._file = ""

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
