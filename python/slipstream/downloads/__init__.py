"""Model files from elsewhere: from the Hugging Face hub, or from hosts that the operator allows.

Everything that speaks to the network or writes a file runs in a child process
(`slipstream.downloads.child`); the server keeps the jobs (`slipstream.downloads.service`).
"""
