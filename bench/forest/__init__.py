"""Tree models: slipstream's forest backend beside everything else that runs them.

``make bench-forest``, or ``python -m bench forest --help``. Every rival is installed into an
environment of its own below ``build/bench``, models are trained from fixed seeds, and all are
asked for probabilities of the same rows. Rivals with a C interface (or compiled to a library) are
called by one C++ program, `driver/`, so that none is charged for Python; slipstream is called
there where its server calls it, at ``Instance::execute``. scikit-learn has no C interface and is
called from Python, which its name in the tables says.

The bias to know: we wrote it, the models are trained on synthetic rows, and a batch's rows are
read one after the other from a matrix in memory, which suits everybody's caches.
"""
