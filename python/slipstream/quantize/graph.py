"""From an ONNX file to a quantized one, by ONNX Runtime's own tools. Runs in the child only.

What each type does, and its settings, follow ONNX Runtime's documentation "Quantize ONNX models".
"""

from __future__ import annotations

import contextlib
import logging
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from slipstream.errors import MissingDependencyError, QuantizationError
from slipstream.quantize.options import QuantizeOptions
from slipstream.quantize.rows import Array, calibration_reader
from slipstream.quantize.single import narrow

_LARGEST_WHOLE_BYTES = 1 << 30
"""A graph whose weights are larger keeps them in a file beside it: protobuf ends at 2 GiB."""
_BLOCK = 32
_INT8_ACCUMULATION = 4
"""``accuracy_level`` of MatMulNBits: products of 4-bit weights are summed in 8-bit blocks."""
_CALIBRATION_BATCH = 32
_OPSET_OF_CHANNELS = 13
"""Since then QuantizeLinear takes a scale per channel."""
_WHAT_EACH_TAKES = {
    "DYNAMIC": "matrix products, convolutions, LSTMs and embeddings with constant weights",
    "STATIC": "operators with constant weights, such as matrix products and convolutions",
    "INT4": "matrix products (MatMul, Gemm) with constant weights",
    "FP16": "constant weights",
}


def quantize_file(
    source: Path,
    target: Path,
    options: QuantizeOptions,
    names: Sequence[str],
    rows: Sequence[Array],
    *,
    is_batchable: bool,
) -> int:
    """Writes a quantized copy of an ONNX file.

    Args:
        source: The graph, in its own precision.
        target: Where the quantized one goes; its folder may receive more files.
        options: Type and mode.
        names: Inputs, in the order of ``rows``.
        rows: What a static quantization finds its ranges on.
        is_batchable: Whether their first dimensions are rows.

    Returns:
        How many tensors of weights are stored in the smaller type now.

    Raises:
        QuantizationError: there is nothing to quantize, or the tools cannot.
        MissingDependencyError: a package is not installed.
    """
    logging.getLogger().setLevel(logging.ERROR)  # the tools advise on standard error
    with _needs_packages():
        import onnx

        before = _small_weights(onnx.load(source, load_external_data=False))
        with _told_as_ours(options):
            source = _in_single(source, target.parent / "single")
            if options.type == "FP16":
                model = _to_half(source)
            elif options.type == "INT4":
                model = _to_four_bits(source)
            elif options.mode == "STATIC":
                model = _static(source, target, options, names, rows, is_batchable)
            else:
                model = _dynamic(source, target, options)
    count = len(_small_weights(model) - before)
    if count == 0:
        kind = options.mode if options.has_mode else options.type
        raise QuantizationError(
            f"there is nothing that {options} could quantize: it takes {_WHAT_EACH_TAKES[kind]}, "
            "and this graph has none"
        )
    _save(model, target)
    return count


def _in_single(source: Path, folder: Path) -> Path:
    """The graph in float32, in that folder if it had to be rewritten."""
    import onnx

    model = onnx.load(source)
    if not narrow(model):
        return source
    folder.mkdir()
    _write(model, folder / source.name)
    return folder / source.name


@contextlib.contextmanager
def _needs_packages() -> Iterator[None]:
    try:
        yield
    except ImportError as error:
        raise MissingDependencyError(
            f"quantizing needs the package {error.name}: pip install slipstream[quantization]"
        ) from error


@contextlib.contextmanager
def _told_as_ours(options: QuantizeOptions) -> Iterator[None]:
    """The tools raise whatever comes to them; each of it means that the graph is not for them."""
    try:
        yield
    except (ImportError, MemoryError):
        raise
    except Exception as error:
        text = str(error).strip().splitlines()[0][:300] if str(error).strip() else ""
        raise QuantizationError(
            f"ONNX Runtime's tools cannot make {options} of this graph "
            f"({type(error).__name__}: {text})"
        ) from error


def _small_weights(model: Any) -> set[str]:
    """Names of weights in types of 16 bits or less; zero points are no weights."""
    from onnx import TensorProto

    small = {
        getattr(TensorProto, name)
        for name in ("INT8", "UINT8", "INT4", "UINT4", "FLOAT16")
        if hasattr(TensorProto, name)
    }
    tensors = list(model.graph.initializer)
    tensors += [
        attribute.t
        for node in model.graph.node
        if node.op_type == "Constant"
        for attribute in node.attribute
        if attribute.name == "value"
    ]
    return {
        tensor.name
        for tensor in tensors
        if tensor.data_type in small and "zero_point" not in tensor.name and _values(tensor) > 1
    }


def _values(tensor: Any) -> int:
    count = 1
    for dim in tensor.dims:
        count *= dim
    return count


def _to_half(source: Path) -> Any:
    import onnx
    from onnxruntime.transformers.float16 import convert_float_to_float16

    # Inputs and outputs stay float32: clients go on sending what they send.
    return convert_float_to_float16(onnx.load(source), keep_io_types=True)


def _to_four_bits(source: Path) -> Any:
    import onnx
    from onnxruntime.quantization.matmul_nbits_quantizer import MatMulNBitsQuantizer
    from onnxruntime.quantization.onnx_model import ONNXModel

    graph = ONNXModel(onnx.load(source))
    graph.replace_gemm_with_matmul()
    quantizer = MatMulNBitsQuantizer(
        graph.model, block_size=_BLOCK, is_symmetric=True, accuracy_level=_INT8_ACCUMULATION
    )
    quantizer.process()
    return getattr(quantizer.model, "model", quantizer.model)


def _dynamic(source: Path, target: Path, options: QuantizeOptions) -> Any:
    import onnx
    from onnxruntime.quantization import quantize_dynamic

    def make(per_channel: bool) -> Any:
        quantize_dynamic(
            source,
            target,
            weight_type=_weight_type(options),
            per_channel=per_channel,
            use_external_data_format=_is_large(source),
        )
        return onnx.load(target)

    return _by_channel_if_possible(make)


def _by_channel_if_possible(make: Callable[[bool], Any]) -> Any:
    """A scale per channel loses least; some weights have channels that the tools know not."""
    try:
        return make(True)
    except (ValueError, IndexError, KeyError):
        logging.getLogger(__name__).warning("one scale per tensor", exc_info=True)
    return make(False)


def _static(
    source: Path,
    target: Path,
    options: QuantizeOptions,
    names: Sequence[str],
    rows: Sequence[Array],
    is_batchable: bool,
) -> Any:
    import onnx
    from onnxruntime.quantization import QuantFormat, quantize_static

    def make(per_channel: bool) -> Any:
        quantize_static(
            tidied,
            target,
            calibration_reader(names, rows, _CALIBRATION_BATCH, is_batchable=is_batchable),
            quant_format=QuantFormat.QDQ,
            activation_type=_weight_type(options),
            weight_type=_weight_type(options),
            per_channel=per_channel,
            use_external_data_format=_is_large(source),
        )
        return onnx.load(target)

    tidied = _tidied(source, target.parent / "tidied")
    opset = max(one.version for one in onnx.load(source, load_external_data=False).opset_import)
    if options.type == "INT8" and opset >= _OPSET_OF_CHANNELS:
        return _by_channel_if_possible(make)
    return make(False)


def _tidied(source: Path, folder: Path) -> Path:
    """The graph with constants folded and batch norms merged; itself where that cannot be done."""
    from onnxruntime.quantization.shape_inference import quant_pre_process

    folder.mkdir()
    tidy = folder / "model.onnx"
    try:
        quant_pre_process(source, tidy, skip_symbolic_shape=True)
    except Exception:  # it is an improvement, not a condition
        logging.getLogger(__name__).warning("pre-processing failed", exc_info=True)
        return source
    return tidy


def _weight_type(options: QuantizeOptions) -> Any:
    from onnxruntime.quantization import QuantType

    return QuantType.QInt8 if options.type == "INT8" else QuantType.QUInt8


def _is_large(source: Path) -> bool:
    size = sum(file.stat().st_size for file in source.parent.iterdir() if file.is_file())
    return size > _LARGEST_WHOLE_BYTES


def _save(model: Any, target: Path) -> None:
    """Writes the graph alone into its folder: the tools leave files of their own."""
    for other in target.parent.iterdir():
        if other.is_dir():
            shutil.rmtree(other)
        else:
            other.unlink()
    _write(model, target)


def _write(model: Any, target: Path) -> None:
    import onnx

    if model.ByteSize() > _LARGEST_WHOLE_BYTES:
        onnx.save(model, target, save_as_external_data=True, location="weights.bin")
    else:
        onnx.save(model, target)
