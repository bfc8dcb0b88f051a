"""Authentication: the campus login providers, login states and sessions on the server."""
