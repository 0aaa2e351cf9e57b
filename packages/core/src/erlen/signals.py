"""Layer 0: the signals that tell others what the application does.

They are sent only when somebody listens: `if signal.receivers`. Flask has the
ten of them that are not about sessions, identities and streams.
"""

from __future__ import annotations

from blinker import Namespace

__all__ = [
    "Namespace",
    "appcontext_popped",
    "appcontext_pushed",
    "appcontext_tearing_down",
    "before_render_template",
    "got_request_exception",
    "identity_changed",
    "message_flashed",
    "request_finished",
    "request_started",
    "request_tearing_down",
    "session_rotated",
    "stream_started",
    "template_rendered",
]

_signals = Namespace()

template_rendered = _signals.signal("template-rendered")
before_render_template = _signals.signal("before-render-template")
request_started = _signals.signal("request-started")
request_finished = _signals.signal("request-finished")
request_tearing_down = _signals.signal("request-tearing-down")
got_request_exception = _signals.signal("got-request-exception")
appcontext_tearing_down = _signals.signal("appcontext-tearing-down")
appcontext_pushed = _signals.signal("appcontext-pushed")
appcontext_popped = _signals.signal("appcontext-popped")
message_flashed = _signals.signal("message-flashed")

# Sent by whoever logs users in and out, with `user` and `previous`, in the request
# that changes who asks; tokens that are bound to the identity are renewed then.
identity_changed = _signals.signal("identity-changed")
# Sent by `session.rotate()`, with `session`: what is bound to it is renewed then.
session_rotated = _signals.signal("session-rotated")
# Sent when a stream that keeps its request's context makes its first item; whoever
# holds something for that request can let it go, or say that it is held for long.
stream_started = _signals.signal("stream-started")
