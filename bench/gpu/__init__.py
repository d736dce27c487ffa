"""Models on a GPU, against what the GPU itself could do: ``python -m bench gpu``.

* `networks` are plain ``torch.nn``, with random weights, as TorchScript and as ONNX.
* `backends` loads them into slipstream, or says why one cannot run here.
* `bare` calls ``driver/``, C++ on libtorch and csrc/device: recorded graphs without slipstream
  around them, and the pipeline's stages one by one.
* `latency`, `throughput`, `overlap`, `callers`, `http`, `cores`: a part of the measurement each.

Nothing here needs a network. ``device="cpu"`` runs the same code on the processor, where its
figures mean nothing: that is what the tests do.
"""
