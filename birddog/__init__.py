"""The floor of Birddog: nouns, geodesy, errors, configuration, the journal, metrics.

This package imports no other room of the project; every other room imports this one.
"""

__version__ = "0.1.0"
