"""The model `example`: a network so small that it comes with slipstream, to try a server with."""
