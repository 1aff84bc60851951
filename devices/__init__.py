"""What a device says: pure codecs, bytes in and observations out; no I/O and no clock."""
