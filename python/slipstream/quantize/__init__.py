"""Smaller, quicker numbers for ONNX models: made in a child process, judged by what they lose."""
