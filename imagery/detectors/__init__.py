"""One detector a file: a kernel on one ndarray and how far it looks around."""
