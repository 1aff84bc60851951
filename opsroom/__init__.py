"""The top: command line, processes, the picture's loop, console, alerts, exports."""
