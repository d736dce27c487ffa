"""The worker package by itself: its protocol against the C++ header, its codec, its process."""

from __future__ import annotations

import json
import mmap
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from slipstream.errors import InferenceError, MissingDependencyError, ModelLoadError
from slipstream.worker import protocol
from slipstream.worker.failures import describe_load_failure, describe_run_failure, encode_text
from slipstream.worker.protocol import ProtocolError, Record
from slipstream.worker.runner import TensorSpec, load_runner
from slipstream.worker.segment import MessageTooLargeError, RequestSegment, ResponseSegment
from slipstream.worker.tensors import OutputError, TensorCodec, numpy_dtype

ROOT = Path(__file__).resolve().parents[1]
LIMIT_BYTES = 1 << 20


# --- the two halves of the protocol ------------------------------------------------------------


def _cpp_constants() -> dict[str, int]:
    header = (ROOT / "csrc/backends/process/protocol.h").read_text()
    found = re.findall(r"constexpr std::\w+ k(\w+) = (0x[0-9A-Fa-f]+|\d+);", header)
    return {re.sub(r"(?<!^)(?=[A-Z])", "_", name).upper(): int(value, 0) for name, value in found}


def test_constants_equal_those_of_the_cpp_header() -> None:
    constants = _cpp_constants()
    assert len(constants) >= 12
    assert constants == {name: getattr(protocol, name) for name in constants}


def test_every_kind_of_python_is_in_the_cpp_header() -> None:
    assert {n for n in vars(protocol) if n.startswith("KIND_")} <= set(_cpp_constants())


def test_dtypes_are_in_the_order_of_the_cpp_enum() -> None:
    header = (ROOT / "csrc/core/dtype.h").read_text()
    body = header[header.index("enum class DType") : header.index("inline constexpr int kDType")]
    assert tuple(re.findall(r"^  k(\w+)", body, re.M)) == tuple(
        name.capitalize() for name in protocol.DTYPE_NAMES
    )


def test_status_codes_equal_the_cpp_enum() -> None:
    header = (ROOT / "csrc/core/status.h").read_text()
    names = re.findall(r"^  k(\w+)(?: = 0)?,", header, re.M)
    codes = {re.sub(r"(?<!^)(?=[A-Z])", "_", name).upper(): i for i, name in enumerate(names)}
    used = {n.removeprefix("STATUS_"): v for n, v in vars(protocol).items() if "STATUS_" in n}
    assert used == {name: codes[name] for name in used}


def test_struct_layouts_have_the_sizes_of_the_cpp_structs() -> None:
    assert len(Record(protocol.KIND_READY).pack()) == 64
    assert protocol.TENSOR_ENTRY.size == 24
    assert protocol.SPEC_HEADER.size == protocol.SPEC_ENTRY.size == 16


def test_record_round_trip_and_refusals() -> None:
    record = Record(protocol.KIND_EXECUTE, 2**63, 3, 4, 2**64 - 1, 6, 7)
    assert Record.unpack(record.pack()) == record
    with pytest.raises(ProtocolError, match="64 bytes"):
        Record.unpack(b"x" * 63)
    with pytest.raises(ProtocolError, match="begins with"):
        Record.unpack(b"x" * 64)


# --- segments and tensors -----------------------------------------------------------------------


@pytest.fixture
def memory() -> Iterator[int]:
    fd = os.memfd_create("test")
    os.ftruncate(fd, mmap.PAGESIZE)
    yield fd
    os.close(fd)


def test_response_segment_grows_to_its_limit(memory: int) -> None:
    segment = ResponseSegment(memory, LIMIT_BYTES)
    segment.reserve(mmap.PAGESIZE + 1)
    assert len(segment.view) == 2 * mmap.PAGESIZE == os.fstat(memory).st_size
    segment.reserve(LIMIT_BYTES)
    assert len(segment.view) == LIMIT_BYTES
    with pytest.raises(MessageTooLargeError, match="max_message_mb"):
        segment.reserve(LIMIT_BYTES + 1)


def test_request_segment_follows_and_keeps_old_views(memory: int) -> None:
    os.pwrite(memory, b"old", 0)
    segment = RequestSegment(memory)
    old = np.frombuffer(segment.view, np.uint8)
    os.ftruncate(memory, 4 * mmap.PAGESIZE)
    segment.follow(4 * mmap.PAGESIZE)
    assert len(segment.view) == 4 * mmap.PAGESIZE
    assert bytes(old[:3]) == b"old"
    assert not old.flags.writeable


def _round_trip(memory: int, spec: TensorSpec, value: object) -> np.ndarray:
    codec = TensorCodec([spec], [spec])
    size, count = codec.write(ResponseSegment(memory, LIMIT_BYTES), [value], 1)
    record = Record(protocol.KIND_EXECUTE, body_bytes=size, tensor_count=count)
    return codec.read(RequestSegment(memory), record)[0]


@pytest.mark.parametrize("name", [n for n in protocol.DTYPE_NAMES if n != "string"])
@pytest.mark.parametrize("shape", [(), (0,), (5,), (2, 0, 3), (2, 3, 1, 1, 2)])
def test_numbers_round_trip(memory: int, name: str, shape: tuple[int, ...]) -> None:
    values = np.arange(np.prod(shape, dtype=int)).reshape(shape).astype(numpy_dtype(name))
    result = _round_trip(memory, TensorSpec("x", name, shape), values)
    assert result.dtype == values.dtype
    assert result.shape == shape
    assert result.tobytes() == values.tobytes()


def test_arrays_of_any_layout_are_written_in_row_order(memory: int) -> None:
    values = np.arange(24, dtype=np.int32).reshape(4, 6)[::-2, ::3].T
    result = _round_trip(memory, TensorSpec("x", "int32", (-1, -1)), values)
    np.testing.assert_array_equal(result, values)


def test_strings_round_trip(memory: int) -> None:
    values = np.array([["", "naïve", None], ["日本", float("nan"), "a\0b\0"]], dtype=object)
    result = _round_trip(memory, TensorSpec("x", "string", (-1, 3)), values)
    assert result.shape == (2, 3)
    assert result[0, 0] == ""
    assert result[0, 1] == "naïve"
    assert np.isnan(result[0, 2]) and np.isnan(result[1, 1])
    assert result[1, 2] == "a\0b\0"


def test_numpy_text_arrays_are_strings(memory: int) -> None:
    result = _round_trip(memory, TensorSpec("x", "string", (-1,)), np.array(["a", "bcd"]))
    assert result.tolist() == ["a", "bcd"]


@pytest.mark.parametrize(
    ("dtype", "dims", "value", "message"),
    [
        ("float32", (-1,), None, "no output"),
        ("float32", (-1,), np.zeros((2, 2)), "shape"),
        ("float32", (3,), np.zeros(2), "shape"),
        ("int32", (-1,), np.zeros(2, np.int64), "does not convert"),
        ("int32", (-1,), np.zeros(2), "does not convert"),
        ("float32", (-1,), np.array(["1"]), "does not convert"),
        ("float32", (-1,), [[1], [1, 2]], "inhomogeneous"),
        ("string", (-1,), np.array([b"x"], dtype=object), "type bytes"),
        ("string", (-1,), np.array([1.5], dtype=object), "type float"),
    ],
)
def test_outputs_that_were_not_declared_so(
    memory: int, dtype: str, dims: tuple[int, ...], value: object, message: str
) -> None:
    with pytest.raises(OutputError, match=message):
        _round_trip(memory, TensorSpec("x", dtype, dims), value)


def test_narrower_types_and_other_float_widths_are_converted(memory: int) -> None:
    for dtype, value in [("int64", np.int8(-3)), ("float32", np.float64(0.5)), ("bfloat16", 2.0)]:
        assert float(_round_trip(memory, TensorSpec("x", dtype, ()), np.asarray(value))) == value


def test_unknown_dtype_is_named() -> None:
    with pytest.raises(ValueError, match="'decimal'"):
        numpy_dtype("decimal")


# --- what failures become -----------------------------------------------------------------------


def test_load_failures_have_a_kind_and_a_remedy() -> None:
    missing = ModuleNotFoundError("No module named 'lightgbm'", name="lightgbm")
    status, text = describe_load_failure(missing)
    assert status == protocol.STATUS_FAILED_PRECONDITION
    assert "slipstream[lightgbm]" in text
    for error, expected in [
        (MissingDependencyError("needs x"), protocol.STATUS_FAILED_PRECONDITION),
        (ModelLoadError("junk"), protocol.STATUS_INVALID_ARGUMENT),
        (FileNotFoundError(2, "gone", "m.pkl"), protocol.STATUS_NOT_FOUND),
        (ValueError("bad"), protocol.STATUS_INVALID_ARGUMENT),
        (RuntimeError("boom"), protocol.STATUS_INTERNAL),
    ]:
        assert describe_load_failure(error)[0] == expected


def test_run_failures_blame_the_input_only_for_value_and_type_errors() -> None:
    assert describe_run_failure(ValueError("v")) == (protocol.STATUS_INVALID_ARGUMENT, "v")
    assert describe_run_failure(KeyError("k")) == (protocol.STATUS_INTERNAL, "KeyError: 'k'")
    assert describe_run_failure(InferenceError("i"))[0] == protocol.STATUS_INTERNAL
    assert describe_run_failure(MemoryError())[1] == "MemoryError"


def test_texts_are_cut_at_a_character() -> None:
    data = encode_text("ü" * protocol.MAX_TEXT_BYTES)
    assert len(data) <= protocol.MAX_TEXT_BYTES
    assert set(data.decode()) == {"ü"}
    assert encode_text("\ud800") == b"?"


@pytest.mark.parametrize("name", ["json", ":loads", "json:", "json:no_such", "no_such_module:f"])
def test_bad_runner_names_are_refused(name: str) -> None:
    with pytest.raises((ValueError, ImportError)):
        load_runner(name, "", {})


# --- the process --------------------------------------------------------------------------------


class Worker:
    """A real worker process, with this test in the place of the server."""

    def __init__(self, runner: str, *arguments: str, expect_protocol: int = 1) -> None:
        self.socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.lifeline_end, self.lifeline = os.pipe()
        self.request = os.memfd_create("request")
        self.response = os.memfd_create("response")
        for fd in (self.request, self.response):
            os.ftruncate(fd, mmap.PAGESIZE)
        passed = (theirs.fileno(), self.request, self.response, self.lifeline_end)
        names = ("--socket-fd", "--request-fd", "--response-fd", "--lifeline-fd")
        paths = [str(ROOT / "python"), str(ROOT / "tests"), os.environ.get("PYTHONPATH", "")]
        self.process = subprocess.Popen(
            [
                sys.executable, "-P", "-m", "slipstream.worker",
                f"--protocol={expect_protocol}", f"--max-message-bytes={LIMIT_BYTES}",
                f"--runner={runner}", "--artifact=",
                *(f"{name}={fd}" for name, fd in zip(names, passed, strict=True)), *arguments,
            ],
            pass_fds=passed,
            stdin=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        )  # fmt: skip
        theirs.close()
        self.socket.settimeout(60)

    def receive(self) -> Record:
        return Record.unpack(self.socket.recv(64))

    def text(self, record: Record) -> str:
        return os.pread(self.response, record.body_bytes, 0).decode()

    def execute(self, spec: TensorSpec, value: object) -> Record:
        codec = TensorCodec([], [spec])
        segment = ResponseSegment(self.request, LIMIT_BYTES)
        size, count = codec.write(segment, [np.asarray(value)], 1)
        record = Record(protocol.KIND_EXECUTE, 1, size, len(segment.view), 2**64 - 1, count)
        self.socket.send(record.pack())
        return self.receive()

    def close(self) -> None:
        self.socket.close()
        for fd in (self.lifeline, self.lifeline_end, self.request, self.response):
            os.close(fd)
        self.process.wait(60)


@pytest.fixture
def worker() -> Iterator[Worker]:
    child = Worker("worker_runners:Scale", "--runner-option=factor=3")
    yield child
    child.close()


SCALE_INPUT = TensorSpec("x", "float32", (-1, 3))


def test_worker_reports_its_specification_and_answers(worker: Worker) -> None:
    ready = worker.receive()
    assert ready.kind == protocol.KIND_READY
    body = os.pread(worker.response, ready.body_bytes, 0)
    assert protocol.SPEC_HEADER.unpack_from(body) == (1, 1, 1)
    answer = worker.execute(SCALE_INPUT, np.ones((2, 3), np.float32))
    assert (answer.kind, answer.sequence, answer.tensor_count) == (protocol.KIND_RESULT, 1, 1)
    read = TensorCodec([SCALE_INPUT], []).read(RequestSegment(worker.response), answer)[0]
    np.testing.assert_array_equal(read, np.full((2, 3), 3.0, np.float32))


def test_worker_ends_orderly_when_the_socket_closes(worker: Worker) -> None:
    assert worker.receive().kind == protocol.KIND_READY
    worker.socket.close()
    assert worker.process.wait(60) == 0


def test_worker_dies_with_the_lifeline() -> None:
    child = Worker("worker_runners:Scale", "--runner-option=factor=3")
    try:
        assert child.receive().kind == protocol.KIND_READY
        os.close(child.lifeline)
        assert child.process.wait(60) == -signal.SIGKILL
    finally:
        child.lifeline = os.open(os.devnull, os.O_RDONLY)
        child.close()


def test_worker_of_another_version_says_so() -> None:
    child = Worker("worker_runners:Scale", expect_protocol=99)
    try:
        failed = child.receive()
        assert failed.kind == protocol.KIND_FAILED
        assert failed.status == protocol.STATUS_FAILED_PRECONDITION
        assert "protocol 1, the server 99" in child.text(failed)
        assert child.process.wait(60) == 1
    finally:
        child.close()


def test_worker_limits_its_memory_and_survives_reaching_the_limit() -> None:
    child = Worker("worker_runners:Glutton", "--memory-limit-mb=2048")
    try:
        assert child.receive().kind == protocol.KIND_READY
        answer = child.execute(TensorSpec("gib", "int64", ()), np.int64(64))
        assert answer.kind == protocol.KIND_ERROR
        assert "MemoryError" in child.text(answer)
        assert child.execute(TensorSpec("gib", "int64", ()), np.int64(0)).kind == (
            protocol.KIND_RESULT
        )
    finally:
        child.close()


def test_garbage_on_the_socket_ends_the_worker(worker: Worker) -> None:
    assert worker.receive().kind == protocol.KIND_READY
    worker.socket.send(b"\0" * 64)
    assert worker.process.wait(60) == 1


def test_worker_imports_only_numpy_and_its_runner() -> None:
    code = "import json, sys, slipstream.worker.__main__, slipstream.worker.loop\n"
    code += "print(json.dumps(sorted({name.partition('.')[0] for name in sys.modules})))"
    path = os.pathsep.join([str(ROOT / "python"), os.environ.get("PYTHONPATH", "")])
    output = subprocess.run(
        [sys.executable, "-P", "-c", code],
        check=True,
        capture_output=True,
        env={**os.environ, "PYTHONPATH": path},
    ).stdout
    forbidden = {"msgspec", "sklearn", "torch", "onnx", "onnxruntime", "granian", "pandas", "scipy"}
    assert not forbidden & set(json.loads(output))
