"""The same comparison for databases: sessions, rows, templates, commits."""
