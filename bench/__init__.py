"""Benchmarks of slipstream: ``make bench``, or ``python -m bench --help``.

* ``python -m bench``: four ways to the same ONNX network are timed in one process, in turn:
  slipstream's ``predict``, its ``submit().result()`` as it is and forced through the queue, and
  onnxruntime's own ``InferenceSession.run``. Their answers are compared first, and a wrong one
  fails the run, because speed of wrong answers means nothing.
* ``python -m bench forest``: tree models, beside every other library that runs them.
* ``python -m bench sim``: the batch policy on a simulated clock, beside those of other servers.
* ``python -m bench http``: slipstream over HTTP, beside other servers (`bench.rivals`).
* ``python -m bench gpu``: models on a GPU, against what the GPU itself could do (`bench.gpu`).
* ``stages``, ``threads``, ``startup``, ``memory``, ``scale``: a module each.
* ``python -m bench compare REVISION``: this checkout beside another revision of it.
* ``python -m bench all``: all but forest and compare, with `bench.goals` beside the figures and a
  page (`bench.report`). ``make bench`` is its quick form.

`bench.lib` holds what they share. Nothing here is a test of speed: no limit is asserted, and
figures of two machines do not compare.
"""
