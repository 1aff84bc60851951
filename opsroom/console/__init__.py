"""The web console: REST, the live channel and the page.  ``make_app`` builds it, ``serve`` runs it."""
