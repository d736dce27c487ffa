"""Conversion: a model becomes an ONNX graph that is proven equal before it serves."""
