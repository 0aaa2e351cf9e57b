"""Django with its ORM: settings as `startproject` writes them, for production.

The page is rendered by Django's Jinja2 backend from the template of all the others,
which costs a third of what Django's own templates do.
"""

# Nobody looks at a row by its `str`.
# ruff: noqa: DJ008

from __future__ import annotations

import typing as t
from pathlib import Path
from urllib.parse import urlsplit

from benchmarks.db.databases import ADDED
from benchmarks.db.databases import PRAGMAS
from benchmarks.db.databases import SCHEMA
from benchmarks.db.scenarios import TWENTY

if t.TYPE_CHECKING:
    import contextlib
    from wsgiref.types import WSGIApplication

    from django.http import HttpRequest
    from django.http import HttpResponse

    from benchmarks.db.databases import Database

TEMPLATES = Path(__file__).parent / "templates"
SETTINGS: t.Final[dict[str, t.Any]] = {
    "ALLOWED_HOSTS": ["127.0.0.1"],
    "INSTALLED_APPS": [
        "django.contrib.auth",
        "django.contrib.contenttypes",
        "django.contrib.sessions",
        "django.contrib.messages",
        "django.contrib.staticfiles",
    ],
    "MIDDLEWARE": [
        "django.middleware.security.SecurityMiddleware",
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.middleware.common.CommonMiddleware",
        "django.middleware.csrf.CsrfViewMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
        "django.contrib.messages.middleware.MessageMiddleware",
        "django.middleware.clickjacking.XFrameOptionsMiddleware",
    ],
    "SECRET_KEY": "as in any application with a session or a flashed message",
    "STATIC_URL": "static/",
    "TEMPLATES": [
        {
            "BACKEND": "django.template.backends.jinja2.Jinja2",
            "DIRS": [str(TEMPLATES)],
        }
    ],
}


def build(database: Database, closing: contextlib.ExitStack) -> WSGIApplication:
    """Build the application: only one, and one after the other, in a process."""
    import django
    from django.conf import settings
    from django.core.wsgi import get_wsgi_application
    from django.db import connections

    if not settings.configured:
        settings.configure(
            **SETTINGS, ROOT_URLCONF=_Urls, DATABASES={"default": _settings(database)}
        )
        django.setup()
    else:
        connections["default"].settings_dict.update(_settings(database))
    closing.callback(connections.close_all)
    _Urls.fill()
    return get_wsgi_application()


def _settings(database: Database) -> dict[str, t.Any]:
    # As the manual advises, and as those who have a pool: connections stay open.
    if database.kind == "sqlite":
        return {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": database.path,
            "CONN_MAX_AGE": None,
            "OPTIONS": {"init_command": ";".join(PRAGMAS)},
        }
    address = urlsplit(database.dsn)
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": address.path.removeprefix("/"),
        "USER": address.username or "",
        "PASSWORD": address.password or "",
        "HOST": address.hostname or "",
        "PORT": str(address.port or ""),
        "CONN_MAX_AGE": None,
        "OPTIONS": {"options": f"-csearch_path={SCHEMA}"},
    }


class _Urls:
    """Stands for the module of the URLs, which needs the settings to be there."""

    urlpatterns: t.ClassVar[list[t.Any]] = []

    @classmethod
    def fill(cls) -> None:
        if not cls.urlpatterns:
            cls.urlpatterns += _paths()


def _models() -> t.Any:
    # Django wants its settings before its models.
    from django.db import models

    class World(models.Model):
        id = models.IntegerField(primary_key=True)
        number = models.IntegerField()

        class Meta:
            app_label = "benchmarks"
            db_table = "world"

    class Counter(models.Model):
        id = models.IntegerField(primary_key=True)
        number = models.IntegerField()

        class Meta:
            app_label = "benchmarks"
            db_table = "counter"

    class Fortune(models.Model):
        id = models.IntegerField(primary_key=True)
        message = models.CharField(max_length=200)

        class Meta:
            app_label = "benchmarks"
            db_table = "fortune"

    class Entry(models.Model):
        id = models.AutoField(primary_key=True)
        number = models.IntegerField()

        class Meta:
            app_label = "benchmarks"
            db_table = "entry"

    return World, Counter, Fortune, Entry


def _paths() -> list[t.Any]:
    from django.http import JsonResponse
    from django.shortcuts import render
    from django.urls import path
    from django.views.decorators.csrf import csrf_exempt

    World, Counter, Fortune, Entry = _models()  # noqa: N806 - they are classes

    def world(request: HttpRequest, id: int) -> HttpResponse:
        world = World.objects.get(pk=id)
        return JsonResponse({"id": world.id, "number": world.number})

    def each(request: HttpRequest, start: int) -> HttpResponse:
        worlds = [World.objects.get(pk=start + step) for step in range(TWENTY)]
        rows = [{"id": world.id, "number": world.number} for world in worlds]
        return JsonResponse(rows, safe=False)

    def together(request: HttpRequest, start: int) -> HttpResponse:
        worlds = World.objects.filter(id__gte=start, id__lt=start + TWENTY)
        rows = [
            {"id": world.id, "number": world.number} for world in worlds.order_by("id")
        ]
        return JsonResponse(rows, safe=False)

    def fortunes(request: HttpRequest) -> HttpResponse:
        fortunes = list(Fortune.objects.all())
        fortunes.append(Fortune(id=0, message=ADDED))
        fortunes.sort(key=lambda fortune: fortune.message)
        return render(request, "fortunes.html", {"fortunes": fortunes})

    @csrf_exempt
    def entries(request: HttpRequest, number: int) -> HttpResponse:
        Entry.objects.create(number=number)
        return JsonResponse({"number": number}, status=201)

    @csrf_exempt
    def counters(request: HttpRequest, id: int, number: int) -> HttpResponse:
        counter = Counter.objects.get(pk=id)
        counter.number = number
        counter.save()
        return JsonResponse({"id": id, "number": number})

    return [
        path("worlds/<int:id>", world),
        path("each/<int:start>", each),
        path("together/<int:start>", together),
        path("fortunes", fortunes),
        path("entries/<int:number>", entries),
        path("counters/<int:id>/<int:number>", counters),
    ]
