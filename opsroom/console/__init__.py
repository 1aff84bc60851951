"""The web console: REST, WebSocket and the page."""
