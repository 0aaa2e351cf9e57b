"""What scripts/setup does: uv, the packages, git's filter for the lock.

Run by any Python from 3.11 on, with nothing installed.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TOOLS = ROOT / ".tools"
OLDEST_UV = (0, 13)


def fits(uv: str) -> bool:
    """Tell whether `uv` answers and is new enough for the lock."""
    try:
        words = subprocess.check_output([uv, "--version"], text=True).split()
        return tuple(map(int, words[1].split(".")[:2])) >= OLDEST_UV
    except (OSError, subprocess.CalledProcessError, ValueError, IndexError):
        return False


def find_uv() -> str:
    """Return the path of a uv that fits, at best the one that is there.

    The scripts call `.tools/bin/uv`: a link to the user's, or a private copy.
    """
    private = TOOLS / "bin" / "uv"
    if not fits(str(private)):
        shutil.rmtree(TOOLS, ignore_errors=True)
        theirs = shutil.which("uv")
        if theirs and fits(theirs):
            private.parent.mkdir(parents=True)
            private.symlink_to(theirs)
        else:
            install_uv()
    return str(private)


def install_uv() -> None:
    """Put a private uv into `.tools`."""
    tell("Installing uv into .tools")
    try:
        venv.create(TOOLS, with_pip=True)
    except subprocess.CalledProcessError:
        sys.exit(
            "This Python makes no virtual environments. Install uv, or the package that"
            " your system has for them (python3-venv on Debian and Ubuntu)."
        )
    oldest = ".".join(map(str, OLDEST_UV))
    pip = [str(TOOLS / "bin" / "python"), "-m", "pip", "install", "--quiet"]
    subprocess.check_call([*pip, f"uv>={oldest}"])


def tell(news: str) -> None:
    """Say what takes its time, once."""
    print(f"{news} ...", file=sys.stderr, flush=True)


def sync(uv: str, arguments: list[str]) -> None:
    """Install all packages with all extras, on the Python that runs this."""
    if not (ROOT / ".venv").exists():
        tell("Installing Erlen into .venv")
    python = getattr(sys, "_base_executable", sys.executable)
    command = [uv, "sync", "--quiet", "--all-packages", "--all-extras"]
    # A virtual environment that happens to be active is not the workspace's.
    environ = {k: v for k, v in os.environ.items() if k != "VIRTUAL_ENV"}
    environ["UV_PYTHON_DOWNLOADS"] = "never"
    subprocess.check_call(
        [*command, "--python", python, *arguments], cwd=ROOT, env=environ
    )


def set_lock_filter() -> None:
    """Keep the addresses of the user's index out of commits of uv.lock."""
    settings = {
        "clean": "sed -E -f scripts/_lock.sed",
        "smudge": "cat",
        "required": "true",
    }
    for key, value in settings.items():
        command = ["git", "config", f"filter.index-neutral.{key}", value]
        subprocess.check_call(command, cwd=ROOT)


def settle_lock() -> None:
    """Let git see that a lock with addresses and the same pins is no change."""
    # `git status` goes by the size, unless the index knows the file as it is now.
    if subprocess.call(["git", "diff", "--quiet", "--", "uv.lock"], cwd=ROOT) == 0:
        command = ["git", "update-index", "-q", "--", "uv.lock"]
        subprocess.call(command, cwd=ROOT, stderr=subprocess.DEVNULL)


def main(arguments: list[str]) -> None:
    """Do all of it; `arguments` go to `uv sync`."""
    in_git = shutil.which("git") is not None and (ROOT / ".git").exists()
    if in_git:
        set_lock_filter()
    sync(find_uv(), arguments)
    if in_git:
        settle_lock()


if __name__ == "__main__":
    main(sys.argv[1:])
