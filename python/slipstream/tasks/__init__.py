"""Predictions that outlive the request that asked for them.

`Tasks` (``service.py``) is what the HTTP layer talks to. A task is stored before it is
acknowledged (``store.py``, ``group_commit.py``), waits in order (``queue.py``), runs on the engine
like any other request (``runner.py``), and its end is stored before anybody hears of it; whoever
gave a ``callback_url`` is told (``callbacks.py``).
"""
