"""HTTP servers under load: slipstream beside the servers that answer the same models.

``python -m bench http --help``. `load/` is the load generator, a C++ program of its own, which
`generator` runs; it compares every answer, and states what it counted.

The bias to know: we wrote it, and we chose the models. Server and generator share one machine and
its cores, so the generator's own work is part of every figure, for all servers alike: ratios of
fast servers are nearer to 1 than they would be with a client elsewhere.
"""
