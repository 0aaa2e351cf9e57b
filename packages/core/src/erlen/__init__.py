"""Erlen: Flask's public API on a small, fast core, batteries optional.

This is the facade: everything that an application needs to import.
"""

from __future__ import annotations

from . import json as json
from .app import Erlen
from .blueprints import Blueprint
from .config import Config
from .ctx import after_this_request
from .ctx import copy_current_app_context
from .ctx import copy_current_request_context
from .ctx import has_app_context
from .ctx import has_request_context
from .globals import current_app
from .globals import g
from .globals import request
from .globals import session
from .globals import websocket
from .helpers import abort
from .helpers import flash
from .helpers import get_flashed_messages
from .helpers import get_template_attribute
from .helpers import make_response
from .helpers import redirect
from .helpers import safe_redirect_target
from .helpers import send_file
from .helpers import send_from_directory
from .helpers import stream_with_context
from .helpers import url_for
from .json import jsonify
from .signals import appcontext_popped
from .signals import appcontext_pushed
from .signals import appcontext_tearing_down
from .signals import before_render_template
from .signals import got_request_exception
from .signals import message_flashed
from .signals import request_finished
from .signals import request_started
from .signals import request_tearing_down
from .signals import template_rendered
from .templating import render_block
from .templating import render_template
from .templating import render_template_string
from .templating import stream_template
from .templating import stream_template_string
from .wrappers import Request
from .wrappers import Response

__version__ = "0.1.0"

#: The version of Flask whose public API this one is.
FLASK_API = "3.1"

__all__ = [
    "FLASK_API",
    "Blueprint",
    "Config",
    "Erlen",
    "Request",
    "Response",
    "__version__",
    "abort",
    "after_this_request",
    "appcontext_popped",
    "appcontext_pushed",
    "appcontext_tearing_down",
    "before_render_template",
    "copy_current_app_context",
    "copy_current_request_context",
    "current_app",
    "flash",
    "g",
    "get_flashed_messages",
    "get_template_attribute",
    "got_request_exception",
    "has_app_context",
    "has_request_context",
    "json",
    "jsonify",
    "make_response",
    "message_flashed",
    "redirect",
    "render_block",
    "render_template",
    "render_template_string",
    "request",
    "request_finished",
    "request_started",
    "request_tearing_down",
    "safe_redirect_target",
    "send_file",
    "send_from_directory",
    "session",
    "stream_template",
    "stream_template_string",
    "stream_with_context",
    "template_rendered",
    "url_for",
    "websocket",
]
