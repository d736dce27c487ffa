"""The HTTP layer: routes that know no server, and one thin adapter per server interface.

``app.py`` drives a request, ``rsgi.py`` is the adapter for Granian, ``server.py`` runs it.
Imports `slipstream.api`; nothing below imports this package.
"""
