"""The inference engine API, section by section: every documented key, type and status, over HTTP.

One module a section of the document. The servers are real, and so are the models.
"""
