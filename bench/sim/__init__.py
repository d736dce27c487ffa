"""The batch policy on a simulated clock, beside the policies of other servers.

``python -m bench sim``. A C++ program (`driver/`) runs the real batcher, latency model and policy
of ``csrc/core``, and small implementations of what others decide, on the same requests:

* ``none``: one request an execution, first come first served.
* ``triton``, ``triton-window``: a dynamic batcher with priority levels, and a queue policy that
  rejects what has timed out; with a delay of zero, and of as long as a full batch takes.
* ``tf-serving``: one queue and that window. ``clipper``: AIMD on the largest batch.
* ``bentoml``: its corked dispatcher, which fits a line to the last executions and runs the newest
  request first.
* ``nexus``: batch size from the objective, early drop from the front of the queue.
  ``clockwork``: earliest deadline first, the largest batch that meets its deadlines.

What the model assumes: an execution takes what the curve says, times normal noise of 5%, and one
in 500 takes five times as long; deciding, waking threads and gathering rows take nothing; clients
neither retry nor leave; all inputs have one shape, and no request has more rows than one execution
takes. So figures say which decisions are better, and nothing of how quick a server is.

The bias to know: we wrote all of it. Against us: nexus and clockwork are given the true curve, and
clipper, bentoml and nexus a fitting objective, where ours starts cold and learns; bentoml looks at
its queue more often than it does; no rival pays for its overhead. For us: the scenarios were at
hand while the policy was made, and the constants were chosen by them; nexus and clockwork are
reduced to one model, which is not what they were made for; and only triton has priorities.
"""
