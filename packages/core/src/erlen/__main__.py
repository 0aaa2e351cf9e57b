"""Layer 5: `python -m erlen` is the command `erlen`."""

from __future__ import annotations

from .cli import main

if __name__ == "__main__":
    main()
