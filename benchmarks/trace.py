"""The calls of one request, in order: what a reader of the source walks through.

Deterministic: `sys.setprofile` sees each call of a Python function. "Own" are
the functions of the framework's package and the view; the others (Werkzeug,
the standard library) are counted only.
"""

from __future__ import annotations

import importlib.util
import sys
import typing as t
from dataclasses import dataclass
from dataclasses import field
from itertools import pairwise
from pathlib import Path

from benchmarks import door

if t.TYPE_CHECKING:
    from types import CodeType
    from types import FrameType
    from wsgiref.types import WSGIApplication

    from benchmarks.scenarios import Exchange

WARM_UP_CALLS: t.Final = 3
Profiler = t.Callable[["FrameType", str, object], None]


@dataclass(frozen=True)
class Call:
    """One call of one of our own functions.

    Attributes:
        file: Path of its module, relative to the folder it was found under.
        line: Where the function starts.
        name: The qualified name.
        depth: Calls around it, those of libraries included.
    """

    file: str
    line: int
    name: str
    depth: int


@dataclass
class Trace:
    """What happened between the call of the application and the end of its answer."""

    calls: list[Call] = field(default_factory=list)
    library_calls: int = 0

    @property
    def files(self) -> list[str]:
        """The files that were touched, in order of appearance."""
        return list(dict.fromkeys(call.file for call in self.calls))

    @property
    def switches(self) -> int:
        """How often the next call is in another file."""
        return sum(one.file != other.file for one, other in pairwise(self.calls))


def package_folder(name: str) -> Path:
    """Return the folder of an importable package.

    Raises:
        ModuleNotFoundError: It is not installed.
    """
    spec = importlib.util.find_spec(name)
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(f"No package named {name!r}.", name=name)
    return Path(spec.origin).parent


def record(app: WSGIApplication, exchange: Exchange, own: list[Path]) -> Trace:
    """Trace one request, after a few that fill what is built at first use.

    Args:
        app: The application.
        exchange: What is asked; its answer is checked.
        own: Files and folders whose functions are "own".

    Raises:
        WrongAnswerError: The answer is not the exchange's.
    """
    for _ in range(WARM_UP_CALLS):
        door.check(app, [exchange])
    trace = Trace()
    environ = exchange.environ()
    sys.setprofile(watcher(trace, own, door.__file__))
    try:
        door.take(app, environ, door.start_and_forget)
    finally:
        sys.setprofile(None)
    return trace


def watcher(trace: Trace, own: list[Path], door_file: str) -> Profiler:
    """Make a profiler that writes into `trace`.

    Args:
        trace: Takes the calls.
        own: Files and folders whose functions are "own".
        door_file: Whose functions stand for the server, and are not counted.
    """
    home: dict[CodeType, str | None] = {}
    depth = -1

    def profiler(frame: FrameType, event: str, _arg: object) -> None:
        nonlocal depth
        code = frame.f_code
        if code.co_filename == door_file:
            return
        if event == "return":
            depth -= 1
        if event != "call":
            return
        depth += 1
        if code not in home:
            home[code] = _relative(code.co_filename, own)
        file = home[code]
        if file is None:
            trace.library_calls += 1
        else:
            call = Call(file, code.co_firstlineno, code.co_qualname, depth)
            trace.calls.append(call)

    return profiler


def _relative(file: str, own: list[Path]) -> str | None:
    for root in own:
        if Path(file).is_relative_to(root):
            return str(Path(file).relative_to(root.parent))
    return None


def text(trace: Trace) -> str:
    """List the calls, indented by depth, and close with the three counts."""
    places = [f"{call.file}:{call.line}" for call in trace.calls]
    width = max(map(len, places), default=0)
    lines = [
        f"{number:3}  {place.ljust(width)}  {'  ' * call.depth}{call.name}"
        for number, (place, call) in enumerate(
            zip(places, trace.calls, strict=True), start=1
        )
    ]
    lines.append(
        f"{len(trace.calls)} own calls, {len(trace.files)} files,"
        f" {trace.switches} switches of file; {trace.library_calls} library calls"
    )
    return "\n".join(lines)
