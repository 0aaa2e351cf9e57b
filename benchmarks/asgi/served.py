"""What a server is told to serve: the peer and the scenario of the environment."""

from __future__ import annotations

import os

from benchmarks.asgi import peers
from benchmarks.asgi.sockets import PEER
from benchmarks.asgi.sockets import SCENARIO

app = peers.load([os.environ[PEER]])[0][0].build(os.environ[SCENARIO])
