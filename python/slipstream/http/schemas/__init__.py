"""Bodies of requests and answers: one file an area, one Struct a body, keys in their order.

Times are seconds, sizes are mebibytes; what cannot be measured is null. A key that is ``UNSET``
does not appear in the answer.
"""
