"""A server under every kind of request for long, while models come and go: nothing may grow.

``wire`` is the client, ``served`` the models and what they answer, ``ways`` the kinds of request,
``traffic`` the clients, ``churn`` what changes meanwhile, ``vitals`` what is looked at, ``command``
the suite.
"""
