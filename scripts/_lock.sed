# Takes out of uv.lock what depends on whose package index was asked, and when.
/^\[options/,/^$/d
/^sdist = /d
/^wheels = \[$/,/^\]$/d
s/source = \{ registry = "[^"]*"/source = { registry = "."/g
