"""The same comparison for ASGI: async views, in one process and over sockets."""
