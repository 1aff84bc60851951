"""One module a format; the module's name is the format's name (- becomes _)."""
