"""Benchmarks of slipstream: ``make bench``, or ``python -m bench --help``.

* ``python -m bench``: three ways to the same ONNX network are timed in one process, in turn:
  slipstream's ``predict``, slipstream's ``submit().result()``, and onnxruntime's own
  ``InferenceSession.run``. Their answers are compared first, and a wrong one fails the run, because
  speed of wrong answers means nothing.
* ``python -m bench forest``: tree models, beside every other library that runs them.
* ``python -m bench sim``: the batch policy on a simulated clock, beside those of other servers.

`bench.lib` holds what they share. Nothing here is a test of speed: no limit is asserted, and
figures of two machines do not compare.
"""
