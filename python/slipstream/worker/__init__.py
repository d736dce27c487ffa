"""The child process of the ``process`` backend: runs one Python model for the server.

Started by the server as ``python -m slipstream.worker``; imports NumPy, the runner's module and
nothing else of slipstream. See `slipstream.worker.runner` for what a model must look like.
"""
