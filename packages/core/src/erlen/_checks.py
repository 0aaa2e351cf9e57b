"""Layer 2: checks of how an application is set up, and whether what it needs is there.

The core's own checks are here; those of extensions come from `app.add_check`.
`erlen check` shows what they find. No request runs any of this.
"""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import copy
import dataclasses
import functools
import inspect
import os
import re
import time
import typing as t
import warnings

from ._forwarded import _counts

Level = t.Literal["error", "warning", "info"]
LEVELS: tuple[str, ...] = t.get_args(Level)


@dataclasses.dataclass(frozen=True)
class Problem:
    """Something that a check found.

    Args:
        level: `"error"`, `"warning"` or `"info"`.
        what: What is wrong, with the name of the setting.
        cure: What to do about it: a line to write, a command to run.
        id: The check's id, filled in when the check is run.

    Raises:
        ValueError: There is no such level.
    """

    level: Level
    what: str
    cure: str
    id: str | None = None

    def __post_init__(self) -> None:
        if self.level not in LEVELS:
            raise ValueError(f"{self.level!r} is no level of a Problem: {LEVELS}")


@dataclasses.dataclass(frozen=True)
class Check:
    """A check and who added it; with `deploy` it is about production only."""

    id: str
    function: t.Callable[[t.Any], t.Any]
    deploy: bool = False
    owner: str = "erlen"


@dataclasses.dataclass(frozen=True)
class Health:
    """Whether something that the application needs is there.

    Args:
        name: The name of its function.
        ok: Whether it is there.
        error: Type and message of what the function raised; None if it is there.
        seconds: How long the function took.
    """

    name: str
    ok: bool
    error: str | None
    seconds: float


def run_checks(
    app: t.Any, deploy: bool = False, silence: cabc.Iterable[str] = ()
) -> list[Problem]:
    """Run the core's checks and those that extensions added.

    Args:
        app: The application.
        deploy: Run the checks that are about production, too.
        silence: Ids of checks to leave out, beside those in `SILENCED_CHECKS`.

    Returns:
        What they found, errors first, then warnings, then infos. A check that
        raises is an error of its own, and all others run.
    """
    from difflib import get_close_matches

    listed: t.Any = app.config.get("SILENCED_CHECKS") or ()
    several = hasattr(listed, "__iter__") and not isinstance(listed, str)
    silenced = {*map(str, listed if several else [listed]), *silence}
    checks = [*_CORE, *app._checks.values()]
    ids = [check.id for check in checks]
    found: list[Problem] = []
    for name in sorted(silenced.difference(ids)):
        near = "".join(f", or write {it!r}" for it in get_close_matches(name, ids, 1))
        values = {"id": "core.silenced-checks", "name": name, "near": near}
        found.append(_problem("silenced", **values))
    with app.app_context():
        for check in checks:
            if check.id not in silenced and (deploy or not check.deploy):
                found += _run(app, check)
    return sorted(found, key=lambda problem: LEVELS.index(problem.level))


def _run(app: t.Any, check: Check) -> Found:
    try:
        result = _call(app, check.function, app)
        for item in result if hasattr(result, "__iter__") else (result,):
            if isinstance(item, Problem):
                yield dataclasses.replace(item, id=check.id)
            elif item is not None:
                raise TypeError(f"it gives {type(item).__name__!r}, not Problems")  # noqa: TRY301  (handled as what it raises)
    except (Exception, SystemExit) as exc:  # noqa: BLE001  (a check is anybody's)
        values = {"id": check.id, "owner": check.owner, "error": _describe(exc)}
        yield _problem("failed", **values)


def check_health(
    app: t.Any, answers: dict[str, Health] | None = None
) -> dict[str, Health]:
    """Ask every function of `app.add_health`; one that raises does not stop the others.

    Args:
        app: The application.
        answers: Is filled, for who cannot wait for the last one.
    """
    answers = {} if answers is None else answers
    with app.app_context():
        for name, function in app._health.items():
            start, error = time.perf_counter(), None
            try:
                _call(app, function)
            except (Exception, SystemExit) as exc:  # noqa: BLE001  (as above)
                error = _describe(exc)
            seconds = time.perf_counter() - start
            answers[name] = Health(name, error is None, error, seconds)
    return answers


def _call(app: t.Any, function: t.Callable[..., t.Any], *args: t.Any) -> t.Any:
    result = app.ensure_sync(function)(*args)

    async def wait() -> t.Any:
        return await result

    # Of a lambda, for one, that calls an async function.
    return app.ensure_sync(wait)() if inspect.isawaitable(result) else result


def _describe(exc: BaseException) -> str:
    return hide_passwords(f"{type(exc).__name__}: {exc}")


def hide_passwords(text: str) -> str:
    """Take passwords out of the URLs and connection strings in a text."""
    place = r"(?i)(?<=://)\S+(?=@)|(?<=password=)('[^']*'|[^\s&;,)]+)"
    return re.sub(place, "(hidden)", text)


# The core's own checks

# Level, setting, the values that are a problem in production, why, a better value.
_VALUES = r"""
error DEBUG=True|1: the debugger runs what is typed into it -> False
error TESTING=True|1: errors are raised through the server -> False
warning TRUSTED_HOSTS=None|\W*: clients choose the host in URLs -> ["www.example.org"]
warning MAX_CONTENT_LENGTH=None: clients can send bodies without end -> 16 * 1024**2
warning SESSION_COOKIE_SECURE=False|0: the session is sent over http, too -> True
warning SESSION_COOKIE_HTTPONLY=False|0: each script can read the session -> True
warning SESSION_COOKIE_SAMESITE=(?i)None: forms of other sites have the session -> "Lax"
warning SESSION_COOKIE_DOMAIN=(?!None|False).+: hosts below it get the session -> None
info SESSION_COOKIE_NAME=(?!__Host-).*: hosts beside yours can set it -> "__Host-session"
warning SESSION_STORE=memory:/*|<.*MemorySessionStore.*: each process has its own -> "redis://localhost:6379/0"
info PROXY_HOPS=0|None|False: behind a proxy, every client has its address -> 1 (behind one)
"""
_TEXTS = """
error failed: The check {id!r} of {owner!r} failed: {error}
    Tell the author of {owner!r}. To go on without it: SILENCED_CHECKS = ["{id}"]
warning silenced: {name!r} is to be silenced, and no check has this id.
    Take it out of SILENCED_CHECKS or --silence{near}.
error secret-key: {name} {reason}.
    Set it to what `erlen secret` prints, from outside, such as by ERLEN_SECRET_KEY.
error shared-host: TRUSTED_HOSTS has {host!r}, and anybody can have a host below it.
    Name hosts of your own, such as ".shop.example".
error https-cookie: SESSION_COOKIE_SECURE is off. Browsers refuse such a session cookie.
    SESSION_COOKIE_SECURE = True: its name, SAMESITE="None" and PARTITIONED ask for it.
error host-cookie: Browsers refuse a "__Host-" session cookie with a path or a domain.
    SESSION_COOKIE_PATH = "/" and SESSION_COOKIE_DOMAIN = None
info url-scheme: PREFERRED_URL_SCHEME is 'http': so start URLs in mails and jobs.
    PREFERRED_URL_SCHEME = "https"
warning static-missing: The static folder of {owner} is not there: {folder}
    Make it, or set static_folder=None.
error static-private: The static folder of {owner} has files that are private: {names}
    Move them out of {folder}
error static-instance: The instance folder is in the static folder of {owner}: {folder}
    Move it, and say where it is: Erlen(__name__, instance_path=...)
warning hidden: Templates of {owner} are hidden by those of {winner}: {names}
    Put the templates of a blueprint into a folder of its name: templates/NAME/
info overridden: Templates of {owner} are replaced by those of {winner}: {names}
    Where that is not meant, give the application's other names.
error settings: {error}
    `erlen config` shows all settings, their types and where they were set.
warning misspelt: Nobody declares the setting {key}; there is {nearest}.
    Write {nearest}, or declare it: app.config.declare({key!r}, ...)
warning mounts: What is mounted at {prefix!r} answers instead of the rules {names}
    Mount it at another prefix, or take the rules out.
"""
_ROWS = {row[1]: row for row in re.findall(r"(\w+) (\S+): (.+)\n +(.+)", _TEXTS)}

Found = cabc.Iterator[Problem]


def _problem(row: str, /, **values: t.Any) -> Problem:
    level, _, what, cure = _ROWS[row]
    what, cure = what.format(**values), cure.format(**values)
    return Problem(level, what, cure, values.get("id"))


def _value(level: Level, key: str, bad: str, why: str, good: str, app: t.Any) -> Found:
    value = app.config.get(key)
    if re.fullmatch(bad, str(value)):
        yield Problem(level, f"{key} is {value!r}: {why}.", f"{key} = {good}")


# In letters and digits alone: of documentation, of tutorials, and published defaults.
_KNOWN_KEY = (
    "secret|thisismyscret|password|insecure|change(me|this|it)|replaceme|placeholder"
    "|(never|hardto)guess|192b9bdd22ab9ed4d12e236c78afcb9a|5y2lf4q8z|a0zr98j3yxrxhhjmn"
    "|^(dev(elopment)?|key|test(ing)?|default|todo|none)$"
)


def _weakness(key: t.Any) -> str | None:
    if not key:
        return "is not set, so that nothing can be signed"
    text = key.decode("latin1") if isinstance(key, bytes) else str(key)
    if re.search(_KNOWN_KEY, re.sub("[^a-z0-9]", "", text.lower())):
        return "looks like the key of an example, and can be guessed"
    if len(text) < 32:
        return "is shorter than 32 characters, and can be guessed"
    repeats = len(set(text)) < 8 or text in (text * 2)[1:-1]
    return "repeats itself, and can be guessed" if repeats else None


def _secret_key(app: t.Any) -> Found:
    keys = {"SECRET_KEY": app.config.get("SECRET_KEY")}
    fallbacks = app.config.get("SECRET_KEY_FALLBACKS") or ()
    if not isinstance(fallbacks, (str, bytes)):  # which is a problem of `_settings`
        keys |= {f"SECRET_KEY_FALLBACKS[{i}]": key for i, key in enumerate(fallbacks)}
    for name, key in keys.items():
        if reason := _weakness(key):
            yield _problem("secret-key", name=name, reason=reason)


# Top-level domains, and others below which anybody can have a host.
_SHARED = (
    r"(?i)\.((?!local)[^.]*|(ac|co|com|edu|gov|net|org)\.[a-z]{2}|git(hub|lab)\.io"
    r"|(herokuapp|appspot)\.com|(netlify|vercel)\.app|(pages|workers)\.dev)"
)


def _trusted_host_names(app: t.Any) -> Found:
    hosts = app.config.get("TRUSTED_HOSTS") or ()
    for host in [hosts] if isinstance(hosts, str) else hosts:
        if re.fullmatch(_SHARED, host):
            yield _problem("shared-host", host=host)


def _session_cookie(app: t.Any) -> Found:
    get = app.config.get
    name = get("SESSION_COOKIE_NAME") or ""
    open_ = str(get("SESSION_COOKIE_SAMESITE") or "").title() == "None"
    wants_https = open_ or get("SESSION_COOKIE_PARTITIONED") or name.startswith("__")
    if wants_https and str(get("SESSION_COOKIE_SECURE")) in {"False", "0"}:
        yield _problem("https-cookie")
    path = get("SESSION_COOKIE_PATH") or get("APPLICATION_ROOT")
    if name.startswith("__Host-") and (get("SESSION_COOKIE_DOMAIN") or path != "/"):
        yield _problem("host-cookie")


def _preferred_url_scheme(app: t.Any) -> Found:
    if app.config["SERVER_NAME"] and app.config["PREFERRED_URL_SCHEME"] == "http":
        yield _problem("url-scheme")


_PRIVATE = r"\.((flask)?env.*|git|hg|svn|htpasswd)|.+\.(pem|key|db|sql|sqlite3?|pyc?)"


def _private_files(folder: str) -> cabc.Iterator[str]:
    for root, folders, files in os.walk(folder):
        for name in (*folders, *files):
            if re.fullmatch(_PRIVATE, name):
                yield os.path.relpath(os.path.join(root, name), folder)


def _some(names: cabc.Iterable[str]) -> str:
    first = sorted(names)
    return ", ".join(first[:10]) + f" and {len(first) - 10} more" * (len(first) > 10)


def _owners(app: t.Any) -> dict[str, t.Any]:
    blueprints = {f"the blueprint {name!r}": it for name, it in app.blueprints.items()}
    return {"the application": app, **blueprints}


def _static_files(app: t.Any) -> Found:
    instance = os.path.realpath(app.instance_path)
    for owner, it in _owners(app).items():
        if it.static_folder is None:
            continue
        folder = os.path.realpath(it.static_folder)
        if (it, it._static_folder) != (app, "static") and not os.path.isdir(folder):
            yield _problem("static-missing", owner=owner, folder=folder)
        if names := _some(_private_files(folder)):
            yield _problem("static-private", owner=owner, folder=folder, names=names)
        if instance.startswith(os.path.join(folder, "")):
            yield _problem("static-instance", owner=owner, folder=folder)


def _templates(app: t.Any) -> Found:
    first: dict[str, tuple[str, t.Any]] = {}
    for owner, it in _owners(app).items():
        place = getattr(it.jinja_loader, "searchpath", it.jinja_loader)
        names: list[str] = []
        with contextlib.suppress(AttributeError, TypeError):  # none, or it has no list
            names = it.jinja_loader.list_templates()
        hidden: dict[str, list[str]] = {}
        for name in names:
            winner, there = first.setdefault(name, (owner, place))
            if there != place:
                hidden.setdefault(winner, []).append(name)
        for winner, those in hidden.items():
            name = "overridden" if winner == "the application" else "hidden"
            yield _problem(name, owner=owner, winner=winner, names=_some(those))


def _settings(app: t.Any) -> Found:
    misspelt = dict(app.config.misspelt())
    twin = copy.copy(app.config)  # what is checked is converted
    for validate in (
        twin.validate,
        lambda: _counts(twin.get("PROXY_HOPS")),
        lambda: app.session_interface,  # it opens the store, and does not connect
    ):
        try:
            with warnings.catch_warnings(action="ignore"):  # of what is misspelt
                validate()
        except (RuntimeError, TypeError, ValueError) as exc:
            for error in getattr(exc, "problems", (str(exc),)):
                if error.partition(" ")[0] not in misspelt:
                    yield _problem("settings", error=hide_passwords(error))
    for key, nearest in misspelt.items():
        yield _problem("misspelt", key=key, nearest=nearest)


def _mounts(app: t.Any) -> Found:
    rules = [rule.rule for rule in app.url_map.iter_rules()]
    for prefix, _ in app._mounts:
        hidden = [rule for rule in rules if f"{rule}/".startswith(f"{prefix}/")]
        if hidden:
            yield _problem("mounts", prefix=prefix, names=_some(hidden))


_CORE = [
    Check("core.settings", _settings),
    Check("core.secret-key", _secret_key, deploy=True),
    Check("core.trusted-host-names", _trusted_host_names),
    Check("core.session-cookie", _session_cookie),
    Check("core.preferred-url-scheme", _preferred_url_scheme, deploy=True),
    Check("core.static-files", _static_files),
    Check("core.templates", _templates),
    Check("core.mounts", _mounts),
]
for _row in re.findall(r"(\w+) (\w+)=(\S+): (.+) -> (.+)", _VALUES):
    _id = f"core.{_row[1].lower().replace('_', '-')}"
    _CORE.append(Check(_id, functools.partial(_value, *_row), deploy=True))
