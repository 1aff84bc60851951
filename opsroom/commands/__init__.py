"""One command a file: HELP, configure(parser), run(args) -> exit status. Imported on demand."""
