"""How bytes arrive: one transport a file, and the desk that decodes, admits, appends, acknowledges."""
