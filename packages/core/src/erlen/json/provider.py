"""Layer 1: how an application reads and writes JSON.

`app.json` is one of these. Everything in the framework that needs JSON asks
the application's provider, so that replacing it changes all of it at once.
"""

from __future__ import annotations

import contextlib
import dataclasses
import decimal
import json
import json.encoder
import typing as t
import uuid
import weakref
from datetime import date

from werkzeug.http import http_date

if t.TYPE_CHECKING:
    from werkzeug.wrappers import Response

# The arguments of `json.dumps` for which encoders are kept.
_KEPT = frozenset(("ensure_ascii", "indent", "separators", "sort_keys"))
_MAX_ENCODERS = 32

# What `response` calls.
_CALLED = ("_prepare_response_obj", "dumps")
_COMPACT = (",", ":")

Encode = t.Callable[[t.Any], str]


class JSONProvider:
    """Base of all providers: subclass it to use another JSON library.

    A subclass has to implement `dumps` and `loads`.

    Args:
        app: The application, which the provider does not keep alive.
    """

    def __init__(self, app: t.Any) -> None:
        self._app: t.Any = weakref.proxy(app)

    def dumps(self, obj: t.Any, **kwargs: t.Any) -> str:
        """Write `obj` as a JSON text.

        Args:
            obj: What to write.
            **kwargs: Passed on to the JSON library.

        Raises:
            TypeError: Something in `obj` cannot be written as JSON.
            NotImplementedError: The provider lacks this method.
        """
        raise NotImplementedError

    def dump(self, obj: t.Any, fp: t.IO[str], **kwargs: t.Any) -> None:
        """Write `obj` as JSON into the text file `fp`."""
        fp.write(self.dumps(obj, **kwargs))

    def loads(self, s: str | bytes, **kwargs: t.Any) -> t.Any:
        """Read a JSON text.

        Args:
            s: The text, or its bytes in UTF-8.
            **kwargs: Passed on to the JSON library.

        Raises:
            ValueError: The text is no JSON.
            NotImplementedError: The provider lacks this method.
        """
        raise NotImplementedError

    def load(self, fp: t.IO[t.AnyStr], **kwargs: t.Any) -> t.Any:
        """Read JSON from the text or binary file `fp`."""
        return self.loads(fp.read(), **kwargs)

    def _prepare_response_obj(
        self, args: tuple[t.Any, ...], kwargs: dict[str, t.Any]
    ) -> t.Any:
        if args and kwargs:
            raise TypeError("app.json.response() takes either args or kwargs, not both")
        if len(args) == 1:
            return args[0]
        return args or kwargs or None

    def response(self, *args: t.Any, **kwargs: t.Any) -> Response:
        """Build a response of JSON.

        Args:
            *args: One value is written as it is, several as a list.
            **kwargs: Written as a dict. None at all write `null`.

        Raises:
            TypeError: Both kinds of arguments are given, or one of them cannot
                be written as JSON.
        """
        obj = self._prepare_response_obj(args, kwargs)
        response: Response = self._app.response_class(
            self.dumps(obj), mimetype="application/json"
        )
        return response


def _default(o: t.Any) -> t.Any:
    """Turn what the standard library cannot write into what it can."""
    if isinstance(o, date):
        return http_date(o)
    if isinstance(o, (decimal.Decimal, uuid.UUID)):
        return str(o)
    if dataclasses.is_dataclass(o):
        return dataclasses.asdict(o)  # type: ignore[arg-type]
    if hasattr(o, "__html__"):
        return str(o.__html__())
    raise TypeError(f"Object of type {type(o).__name__} is not JSON serializable")


def _prepare(encoder: json.JSONEncoder) -> Encode:
    """Return the encoder's `encode`, with its work of each call done before.

    PERF: the standard library makes its C encoder anew for each call, 0.9 of
    1.3 us. Where there is none, or for indented text, this is `encode` itself.
    """
    make: t.Any = getattr(json.encoder, "c_make_encoder", None)
    indent: t.Any = encoder.indent
    if make is None or indent is not None:
        return encoder.encode
    string: t.Any = json.encoder.encode_basestring
    if encoder.ensure_ascii:
        string = json.encoder.encode_basestring_ascii
    separators = (encoder.key_separator, encoder.item_separator)
    flags = (encoder.sort_keys, encoder.skipkeys, encoder.allow_nan)
    write = make(None, encoder.default, string, None, *separators, *flags)

    def encode(obj: t.Any) -> str:
        try:
            return "".join(write(obj, 0))
        except RecursionError:
            raise ValueError(
                "Circular reference detected, or an object nested too deeply for JSON"
            ) from None

    return encode


class DefaultJSONProvider(JSONProvider):
    """JSON by the standard library, with a few more types.

    Dates become HTTP dates, `Decimal` and `UUID` strings, dataclasses dicts,
    and objects with an `__html__` method what that returns.
    """

    default: t.Callable[[t.Any], t.Any] = staticmethod(_default)
    """Called with each object that the library cannot write."""

    ensure_ascii = True
    """Write every other character as an escape. Safer for old clients, longer."""

    sort_keys = True
    """Write the keys of dicts in order, so that caches see equal texts. Keys of
    different types cannot be sorted: set it to False for those."""

    compact: bool | None = None
    """Whether `response` leaves out line ends and blanks. None means: unless
    the application is in debug mode."""

    mimetype = "application/json"
    """The media type that `response` sets."""

    # Whether `response` may pass by what it would call, as nothing is overridden.
    _is_plain: t.ClassVar[bool] = True

    def __init__(self, app: t.Any) -> None:
        super().__init__(app)
        self._encoders: dict[tuple[t.Any, ...], Encode] = {}

    def __init_subclass__(cls, **kwargs: t.Any) -> None:
        super().__init_subclass__(**kwargs)
        own = DefaultJSONProvider
        cls._is_plain = all(
            getattr(cls, name) is getattr(own, name) for name in _CALLED
        )

    def __setattr__(self, name: str, value: t.Any) -> None:
        super().__setattr__(name, value)
        if name in _CALLED:
            super().__setattr__("_is_plain", False)

    def dumps(self, obj: t.Any, **kwargs: t.Any) -> str:
        """Write `obj` as a JSON text.

        Args:
            obj: What to write.
            **kwargs: Those of `json.dumps`; they win over the attributes.

        Raises:
            TypeError: Something in `obj` cannot be written as JSON.
            ValueError: `obj` contains itself.
        """
        key = (self.ensure_ascii, self.sort_keys, *kwargs.items())
        try:
            # PERF: an encoder built for each call costs 2.05 us, a kept one 1.04.
            encode = self._encoders[key]
        except (KeyError, TypeError):  # TypeError: separators given as a list
            kwargs.setdefault("ensure_ascii", self.ensure_ascii)
            kwargs.setdefault("sort_keys", self.sort_keys)
            if kwargs.keys() <= _KEPT:
                self._keep_encoder(key, kwargs)
            kwargs.setdefault("default", self.default)
            return json.dumps(obj, **kwargs)
        return encode(obj)

    def _keep_encoder(self, key: tuple[t.Any, ...], options: dict[str, t.Any]) -> None:
        # A proxy: an encoder that held a bound `default` would hold its holder.
        provider = weakref.proxy(self)

        def default(o: t.Any) -> t.Any:
            return provider.default(o)

        if len(self._encoders) >= _MAX_ENCODERS:
            self._encoders.clear()
        with contextlib.suppress(TypeError):
            encoder = json.JSONEncoder(default=default, **options)
            self._encoders[key] = _prepare(encoder)

    def loads(self, s: str | bytes, **kwargs: t.Any) -> t.Any:
        """Read a JSON text.

        Args:
            s: The text, or its bytes in UTF-8, UTF-16 or UTF-32.
            **kwargs: Those of `json.loads`.

        Raises:
            ValueError: The text is no JSON, or nested too deeply.
        """
        try:
            return json.loads(s, **kwargs)
        except RecursionError:
            raise ValueError("The JSON is nested too deeply to be read.") from None

    def response(self, *args: t.Any, **kwargs: t.Any) -> Response:
        """Build a response of JSON, indented in debug mode; see `compact`.

        Args:
            *args: One value is written as it is, several as a list.
            **kwargs: Written as a dict. None at all write `null`.

        Raises:
            TypeError: Both kinds of arguments are given, or one of them cannot
                be written as JSON.
        """
        if self._is_plain and len(args) == 1 and not kwargs:
            obj = args[0]
        else:
            obj = self._prepare_response_obj(args, kwargs)
        app = self._app
        compact = self.compact
        if compact or (compact is None and not app.debug):
            # PERF: `dumps` spends 0.5 us on finding this encoder.
            key = (self.ensure_ascii, self.sort_keys, ("separators", _COMPACT))
            encode = self._encoders.get(key)
            if encode is None or not self._is_plain:
                text = self.dumps(obj, separators=_COMPACT)
            else:
                text = encode(obj)
        else:
            text = self.dumps(obj, indent=2)
        response: Response = app.response_class(f"{text}\n", mimetype=self.mimetype)
        return response
