"""Streams: requests in sequence, answered once each and in order, whatever order they come in.

`sequence` is the bookkeeping of one stream, pure; `stream` runs its entries on the engine; `table`
knows all streams, and ends those that nobody uses. Everything on the event loop's thread.
"""
