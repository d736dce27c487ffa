"""When the next batch should begin while one is on the device: ``python -m bench overlap``.

Decision 009 rests on this. `suite` has ``driver/`` put requests of one row to a served model on the
simulated device, in real time, by each policy in turn.
"""
