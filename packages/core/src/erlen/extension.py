"""Layer 2: the contract between the core and its extensions.

First-party packages and third parties build on the same: this module, the
methods of `app` and `app.config` that it names, and nothing private.
"""

from __future__ import annotations

import contextlib
import re
import typing as t

from itsdangerous import BadSignature
from itsdangerous import SignatureExpired

from . import _state
from ._checks import Health
from ._checks import Problem
from ._checks import check_health
from ._checks import run_checks
from ._keys import Signer
from ._settings import REQUIRED
from ._settings import ConfigError
from ._settings import ConfigWarning
from ._settings import Setting
from ._unavailable import Unavailable
from .session_stores import SessionStore
from .signals import identity_changed
from .signals import session_rotated
from .signals import stream_started

if t.TYPE_CHECKING:
    import collections.abc as cabc

__all__ = [
    "CONTRACT",
    "REQUIRED",
    "BadSignature",
    "ConfigError",
    "ConfigWarning",
    "ContractError",
    "Health",
    "Problem",
    "SessionStore",
    "Setting",
    "SignatureExpired",
    "Signer",
    "Unavailable",
    "check_health",
    "current_context",
    "identity_changed",
    "run_checks",
    "session_rotated",
    "setup",
    "stream_started",
]

#: The version of this contract: MAJOR.MINOR. A minor one adds, a major one breaks.
CONTRACT = "1.1"
_VERSION = re.compile(r"(\d+)\.(\d+)")


class ContractError(RuntimeError):
    """An extension and this core do not fit together."""


def current_context() -> t.Any:
    """Return the application context that is in force, or None.

    It is what `current_app` and `g` belong to: one object for each request and
    each command, alive until the teardown functions have run. Extensions keep
    by it what lives as long.
    """
    return _state.current.get()[0]


def _parse(name: str, contract: t.Any) -> tuple[int, int]:
    found = _VERSION.fullmatch(contract) if isinstance(contract, str) else None
    if found is None:
        raise ContractError(
            f"The extension {name!r} asks for contract {contract!r}, and a contract is"
            f' MAJOR.MINOR as a string, such as "{CONTRACT}".'
        )
    return int(found[1]), int(found[2])


def _check_contract(name: str, contract: str) -> None:
    theirs, ours = _parse(name, contract), _parse("erlen", CONTRACT)
    if theirs[0] == ours[0] and theirs <= ours:
        return
    cure = "Upgrade Erlen" if theirs > ours else f"Upgrade {name!r}"
    raise ContractError(
        f"The extension {name!r} was made for contract {contract} of Erlen's"
        f" extensions, and the Erlen that is installed has {CONTRACT}. {cure}, or"
        " install versions of both that belong together."
    )


@contextlib.contextmanager
def setup(
    app: t.Any, name: str, instance: t.Any, *, contract: str
) -> cabc.Generator[None]:
    """Set up an extension: the body of `init_app` goes inside.

    What is declared inside belongs to the extension. At the end its settings
    are validated, all errors at once, and `app.extensions[name]` is set.

    Args:
        app: The application.
        name: The extension's name, at best that of its distribution.
        instance: What `app.extensions` gets: the extension, or its state.
        contract: The version of the contract that the extension was made for.

    Raises:
        ContractError: This core does not fit, or the application has an
            extension of this name already.
        ConfigError: Settings that the extension declares are missing or wrong,
            or another extension's.
    """
    _check_contract(name, contract)
    if name in app.extensions:
        raise ContractError(
            f"The application {app.name!r} has an extension {name!r} already. Call its"
            " init_app() once for each application."
        )
    with app._owned_by(name):
        yield
    app.config.validate(name)
    app.extensions[name] = instance
