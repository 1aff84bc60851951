"""One export a file: MEDIA_TYPE and encode."""
