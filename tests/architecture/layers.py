"""The layers of each package, lowest first: the one place where they are written down.

A module imports only from the layers below its own, or from modules to the left
in its own row. A new module goes where all that it imports is below it.
"""

from __future__ import annotations

LAYERS = {
    "erlen": """
typing signals _settings _defaults config _protocols _lazy
_state _proxies _derived _unavailable _environ _workers _async_streams _body _asgi_body _forwarded _origins debughelpers json.provider json json.tag _signing _keys \
sessions _redis_store session_stores wrappers logging helpers _jinja templating \
_later _waiters _redis_broadcast broadcast sse
_checks extension _hooks _matcher _routes _commands views _scaffold blueprints websockets _discovery \
_extensible _application
ctx _mounts _responses _serving _sending _flow _lifespan _asgi_lifespan
_wsgi _websocket _asgi _devserver _access_log _health _serve_engines _asgi_client _websocket_client testing
app globals _inspection _serve cli pytest_plugin sansio.app sansio.blueprints sansio.scaffold sansio __init__ __main__
""",
    "erlen_db": """
_names _protocols _settings _limits errors
_sqlite_queue _sqlite table pagination query keyset model versioning session
_statements record_queries track_modifications _watch
_psycopg _postgresql _pymysql _asyncmy _mariadb _engines
transactions _async _declarative
_checks cli extension sessions
migrate._errors migrate._legacy migrate._models migrate._progress migrate._config migrate._state
migrate._changes migrate._enums migrate._drops migrate._heads migrate._unsafe \
migrate._foreign_keys migrate._lock migrate._guard migrate._environment
migrate._autogenerate migrate._env migrate._check migrate._checks \
migrate._commands migrate.cli migrate._extension migrate
testing pytest_plugin mypy_plugin __init__
""",
}

#: What people run and no request, in the core: docs/decisions/0005.
HELPS = {
    *("_checks", "_commands", "_devserver", "_discovery", "_inspection", "cli"),
    *("_access_log", "_health", "_serve", "_serve_engines"),
    *("pytest_plugin", "testing", "__main__", "_asgi_client", "_websocket_client"),
}

ROWS = {package: tuple(table.strip().splitlines()) for package, table in LAYERS.items()}

RANK = {
    package: {
        name: (layer, place)
        for layer, row in enumerate(rows)
        for place, name in enumerate(row.split())
    }
    for package, rows in ROWS.items()
}
