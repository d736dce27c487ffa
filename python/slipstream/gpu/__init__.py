"""NVIDIA's GPUs and libraries as this machine has them, told without computing on any."""
