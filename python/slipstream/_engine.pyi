"""The compiled core. Thread-safe unless said otherwise; see csrc/core for the machinery.

Failures raise the classes of `slipstream.errors`. A *spec* is ``(name, dtype, dims)``: dtype by
NumPy's name or ``"string"``, -1 in ``dims`` for a dimension of any size.
"""

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias, TypedDict

import numpy.typing as npt

from slipstream._engine_cuda import cuda_status as cuda_status
from slipstream._engine_cuda import pinned_array as pinned_array
from slipstream._engine_ensembles import EnsembleMember as EnsembleMember
from slipstream._engine_ensembles import ensemble as ensemble
from slipstream._engine_front import Exchange as Exchange
from slipstream._engine_front import Front as Front
from slipstream._engine_front import Gate as Gate
from slipstream._engine_front import shorten_turns as shorten_turns

Spec: TypeAlias = tuple[str, str, Sequence[int]]

class StageSummary(TypedDict):
    """One histogram, in nanoseconds; percentiles are within 3% of the true value."""

    count: int
    sum_ns: int
    max_ns: int
    p50_ns: int
    p95_ns: int
    p99_ns: int

class ModelStats(TypedDict):
    """What a model has done since it was loaded."""

    succeeded: int
    failed: int
    rejected: int
    abandoned: int
    rows: int
    executions: int
    inline_executions: int
    execute_ns_sum: int
    last_execute_ns: int
    idle_s: float | None
    max_batch_rows_seen: int
    queue_size: int
    restarts: int
    lost: str | None
    """Why the device of an instance is lost; None while none is."""
    stages: dict[str, StageSummary]

class Inputs:
    """The tensors of one request. Immutable; may be submitted several times."""

    @property
    def rows(self) -> int: ...
    def arrays(self) -> list[npt.NDArray[Any]]:
        """Views of the tensors, in model order (strings: copied object arrays)."""

class InputDecoder:
    """Parses ``data`` for one model. Immutable.

    Every form raises

    * `MalformedInputError`: not JSON (or MessagePack), nested too deep, a number beyond a double,
    * `InvalidInputError`: a value that does not fit the model; names row and column.
    """

    def __init__(
        self,
        layout: str,
        inputs: Sequence[Spec],
        column_names: Sequence[str] = (),
        accepts_missing: bool = True,
        ignored: Sequence[int] = (),
        max_depth: int = 64,
        max_rows: int = 1_000_000,
        takes_text: bool = False,
    ) -> None:
        """``takes_text``: where a list of numbers is due, a string stands for its UTF-8 bytes."""

    def decode(self, data: bytes | bytearray | memoryview) -> Inputs:
        """Parses one JSON value."""
    def decode_msgpack(self, data: bytes | bytearray | memoryview) -> Inputs:
        """Parses one MessagePack value.

        A map of ``dtype`` (str), ``shape`` (array) and ``data`` (bin) stands for a tensor.
        """
    def decode_tensor(
        self, data: bytes | bytearray | memoryview, dtype: str, shape: Sequence[int]
    ) -> Inputs:
        """Takes little-endian, row-major elements as they lie.

        Where ``data`` is of the model's dtype and aligned it is not copied but kept alive, and must
        not change. Other dtypes are converted as numbers in JSON are.
        """

def wrap_arrays(specs: Sequence[Spec], arrays: Sequence[npt.NDArray[Any]]) -> Inputs:
    """Tensors over NumPy arrays, one per spec; no copy where dtype and layout agree.

    Raises:
        InvalidInputError: another number of arrays, or one that cannot be cast safely.
    """

class LabelTable:
    """Class labels as JSON texts and as MessagePack, in class order."""

    def __init__(self, labels_json: Sequence[str], labels_msgpack: Sequence[bytes]) -> None: ...

class Result:
    """How a request ended."""

    @property
    def ok(self) -> bool: ...
    @property
    def code(self) -> str:
        """``"ok"``, ``"deadline_exceeded"``, ...: the core's status code by name."""
    @property
    def message(self) -> str: ...
    @property
    def total_ns(self) -> int:
        """From admission to completion."""
    @property
    def execute_ns(self) -> int:
        """In the backend, summed over the parts of a split request."""
    @property
    def batch_rows(self) -> int:
        """Rows of the (last) execution the request shared."""
    @property
    def is_shared(self) -> bool:
        """Whether an execution of it held rows of another request, too."""
    @property
    def is_inline(self) -> bool:
        """Whether it ran on its caller's thread."""
    def error(self) -> Exception | None:
        """The exception that `raise_for_status` would raise."""
    def raise_for_status(self) -> None: ...
    def outputs(self) -> list[npt.NDArray[Any] | None]:
        """Model outputs in order, as views; None for one that was not asked for."""
    def encode_json(self, output: int, labels: LabelTable | None = None) -> bytes:
        """One output as nested JSON arrays; with ``labels``, class indices become labels."""
    def encode_msgpack(self, output: int, labels: LabelTable | None = None) -> bytes:
        """The same in MessagePack; float32 and smaller types are float32, NaN is nil."""
    def encode_raw(self, output: int) -> tuple[bytes, str, tuple[int, ...]]:
        """One output as little-endian, row-major bytes, with its dtype and shape.

        Raises:
            InvalidInputError: an output of strings.
        """

class QuickCall:
    """One array in, one out, on the caller's thread; for models with one input.

    Args:
        model: Kept alive.
        output: Index of the output to answer with.
        outputs_wanted: As of `Model.run`.
        accepts_missing: False: arrays with NaN or infinity are left to the long way, to be refused.
    """

    def __init__(
        self, model: Model, output: int, outputs_wanted: int, accepts_missing: bool
    ) -> None: ...
    def run(self, x: object) -> npt.NDArray[Any] | None:
        """What `Model.run` would answer, or None where it must be asked.

        Answers a C-contiguous `numpy.ndarray` of the model's dtype (or float32 for float64) while
        the model is idle and known to be quick enough for a caller that waits; without the GIL if
        it takes longer than giving that away. None for anything else, and for whatever does not
        fit the model.

        Raises:
            InvalidInputError: the model refuses the rows.
            InferenceError: the backend failed.
        """

class Endpoint:
    """One version of a model as JSON asks for it. Immutable.

    Args:
        model: What computes.
        decoder: Of its rows.
        predictions: Outputs that make up ``predictions``, as ``(name, index)``: one with an empty
            name is the answer itself, several become an object; names are JSON texts.
        labels: Of a prediction that is an index of a class.
        probabilities: Indices of the outputs that make up ``probabilities``; empty: it has none.
        predictions_wanted: Bit mask of outputs to compute for predictions alone.
        everything_wanted: The same with probabilities.
    """

    def __init__(
        self,
        model: Model,
        decoder: InputDecoder,
        *,
        predictions: Sequence[tuple[str, int]],
        labels: LabelTable | None,
        probabilities: Sequence[int],
        predictions_wanted: int,
        everything_wanted: int,
    ) -> None: ...
    def set_default_timeout_ms(self, timeout_ms: float) -> None:
        """Of requests that name none, from now on; 0: as the route has it."""

class PredictRoute:
    """Predictions over HTTP, from the bytes of a body to the bytes of its answer. Any thread.

    Args:
        endpoints: By model id or alias; kept, and read at every request, so that the caller may
            change it.
        default_timeout_ms: Of requests that name none.
        max_batch_rows: Largest ``batch_size`` that is taken as it is.
        is_batch: Answers are those of POST predict/batch.
    """

    def __init__(
        self,
        endpoints: dict[str, Endpoint],
        *,
        default_timeout_ms: float,
        max_batch_rows: int,
        is_batch: bool,
    ) -> None: ...
    def answer(
        self, body: bytes, request_id: str, timestamp: str, who: object
    ) -> bytes | int | None:
        """Answers at once (bytes), later (a tag: `drain` returns ``who``), or not at all (None).

        None: this body is not the plain form that is read here, and nothing has happened; whoever
        answers everything must answer it.

        Raises:
            SlipstreamError: why the request is refused, or has failed.
        """
    def drain(self, timestamp: str) -> list[tuple[Any, bytes | Exception]]:
        """``(who, answer or error)`` of the requests that have ended. One thread only."""
    def cancel(self, tag: int) -> None:
        """Withdraws a request if it still waits; `drain` returns it all the same."""
    def set_max_batch_rows(self, rows: int) -> None:
        """Largest ``batch_size`` that is taken as it is, from now on."""
    def fileno(self) -> int:
        """A descriptor that is readable while there is something to drain."""

class CompletionQueue:
    """Ended requests on their way to one consumer, one wake-up for many."""

    def __init__(self) -> None: ...
    def fileno(self) -> int:
        """A descriptor that is readable while there is something to drain."""
    def drain(self) -> list[tuple[int, Result]]:
        """Everything that ended since the last call, as ``(tag, result)``. One thread only."""
    def wait(self, timeout_ms: int) -> bool:
        """Blocks without the GIL until there is something to drain; -1 waits for ever."""
    def wake(self) -> None:
        """Makes a blocked `wait` return."""

class Model:
    """A loaded model with its queue and instances."""

    @property
    def name(self) -> str: ...
    @property
    def inputs(self) -> list[tuple[str, str, tuple[int, ...]]]: ...
    @property
    def outputs(self) -> list[tuple[str, str, tuple[int, ...]]]: ...
    @property
    def batchable(self) -> bool:
        """Whether rows of several requests may share an execution."""
    @property
    def is_batching(self) -> bool:
        """Whether they do: batching is on and the model keeps to rows."""
    @property
    def instances(self) -> int: ...
    def run(
        self,
        inputs: Inputs,
        *,
        priority: int = 0,
        timeout_ms: float | None = None,
        max_batch_rows: int = 0,
        outputs_wanted: int = ...,
        is_alone: bool = False,
    ) -> Result:
        """Answers a request; blocks without the GIL, and computes on this thread if it is idle.

        A request with a timeout does so only where that is faster than handing it over.

        ``priority`` is -1 (low) to 10 (urgent); ``max_batch_rows`` 0 means the model's maximum;
        bit i of ``outputs_wanted`` asks for output i; executions of a request that ``is_alone``
        hold no rows of others. Ctrl-C cancels the request.

        Raises:
            InvalidInputError: does not fit the model.
            QueueFullError: queue full, or the timeout cannot be met.
            DeadlineExceededError: the timeout is over already.
            UnavailableError: the model is closing.
        """
    def try_run_inline(
        self,
        inputs: Inputs,
        *,
        priority: int = 0,
        timeout_ms: float | None = None,
        max_batch_rows: int = 0,
        outputs_wanted: int = ...,
        is_alone: bool = False,
    ) -> Result | None:
        """`run`, only if it needs no other thread; None when it would."""
    def submit(
        self,
        inputs: Inputs,
        queue: CompletionQueue,
        tag: int,
        *,
        priority: int = 0,
        timeout_ms: float | None = None,
        max_batch_rows: int = 0,
        outputs_wanted: int = ...,
        is_alone: bool = False,
    ) -> int:
        """Queues a request that ends as ``(tag, result)`` in ``queue``; returns its ticket.

        Raises: as `run`.
        """
    def cancel(self, ticket: int) -> bool:
        """Withdraws a request; False when it has ended already."""
    def warm_up(self, inputs: Inputs, *, outputs_wanted: int, budget_s: float) -> None:
        """Runs it some times on every instance, counted nowhere; at least once on each.

        No further run begins after ``budget_s``. Raises: as a request that fails.
        """
    def set_max_batch_rows(self, rows: int) -> None:
        """The most rows of one execution, from now on; what waits runs as it was accepted."""
    def set_instances(self, count: int) -> None:
        """So many instances answer from now on, 1 to the ``max_instances`` that it was loaded with.

        Blocks without the GIL: new ones are made and warmed up, the others finish what they began.
        Raises: `InvalidInputError` out of that range; `UnavailableError` while the model closes, or
        when an instance is busy for over a second; and why an instance cannot be made.
        """
    @property
    def is_busy(self) -> bool:
        """Whether a request waits or runs; stale at once."""
    def close(self, drain_timeout_s: float = 10.0) -> None:
        """Stops accepting, lets the queue run that long, ends the rest with UnavailableError."""
    def latencies(self) -> Latencies:
        """From admission to completion, of requests that ran."""
    def stats(self) -> ModelStats: ...
    def counts(self, bounds_ns: Sequence[int]) -> dict[str, Any]:
        """Counters that only grow and two levels of now, for `slipstream.api.counts`."""

class Latencies:
    """A histogram at one moment, or the sum or difference of such; nanoseconds, to 1.6%."""

    def __init__(self) -> None: ...
    @property
    def count(self) -> int: ...
    @property
    def sum_ns(self) -> int: ...
    @property
    def max_ns(self) -> int: ...
    def percentile_ns(self, percent: float) -> int:
        """By nearest rank; 0 where there are no values."""
    def __add__(self, other: Latencies) -> Latencies: ...
    def __sub__(self, earlier: Latencies) -> Latencies:
        """What came since an earlier moment of the same histogram."""

class LatencyHistogram:
    """Where durations are recorded, by any thread; 10 KB, whatever is recorded."""

    def __init__(self) -> None: ...
    def record_ns(self, value_ns: int) -> None: ...
    def snapshot(self) -> Latencies: ...

class Engine:
    """What all models share: the slab of requests, the deadline timer, the backends."""

    def __init__(self, backend_directories: Sequence[str], max_in_flight: int = 8192) -> None: ...
    def load(
        self,
        *,
        name: str,
        backend: str,
        path: str,
        options: Mapping[str, str] = ...,
        instances: int = 1,
        max_instances: int = 0,
        max_batch_rows: int = 64,
        batching: bool = True,
        queue_capacity: int = 1024,
        inline_limit_us: float = 20.0,
        worker_nice: int = 0,
    ) -> Model:
        """Loads an artifact and starts its instances; blocks without the GIL.

        ``queue_capacity`` counts requests per priority level. Executions learned to take less than
        ``inline_limit_us`` run on the caller's thread when the model is idle; 0 turns that off.

        Raises:
            ModelLoadError: no such backend or artifact, or one that does not load.
        """
    def available_backends(self) -> list[str]: ...
    def backend_version(self, name: str) -> str: ...
