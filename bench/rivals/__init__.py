"""Other servers of the same models, each in an environment of its own below ``build/bench/env``.

A rival is its requirements (``recipes/NAME.txt``), its server file (``recipes/NAME_server.py``) and
a line in `registry`. It is installed when it is first asked for; what cannot be installed or
started is left out of the tables, with the reason.

All run the model in ONNX Runtime with one thread per execution, one worker process (FastAPI: two),
and are written as their own documentation shows: the bias to know is that we wrote these files.
"""
