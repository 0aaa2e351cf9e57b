"""The layers of the core, lowest first: the one place where they are written down.

A module imports only from the layers below its own, or from modules to the left
in its own row. A new module goes where all that it imports is below it.
"""

from __future__ import annotations

LAYERS = tuple(
    """
typing signals config _protocols _lazy
_state _proxies _body _forwarded debughelpers json.provider json json.tag _signing sessions \
wrappers logging helpers _jinja templating
_hooks _matcher _routes _commands views _scaffold blueprints _application
ctx _responses _serving
_wsgi _devserver testing
app globals cli sansio.app sansio.blueprints sansio.scaffold sansio __init__ __main__
""".strip().splitlines()
)

RANK = {
    name: (layer, place)
    for layer, row in enumerate(LAYERS)
    for place, name in enumerate(row.split())
}
