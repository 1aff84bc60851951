"""What tracks mean: stops, encounters, loitering, gaps, company; no I/O, no clock.  Start at ``model``."""
