"""Who calls, and what they may do: API keys, tokens, and the files they come from."""
