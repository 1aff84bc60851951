"""What it means: the Kalman engines, association, lifecycle and the fold of the journal; no I/O, no clock."""
