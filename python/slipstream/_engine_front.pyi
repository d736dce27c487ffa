"""The part of `slipstream._engine` before express routes; at run time it is all one module."""

from collections.abc import Callable, Generator, Mapping
from typing import Any

from slipstream._engine import PredictRoute

class Gate:
    """How many requests are in progress, and how many bytes of bodies they hold. Any thread."""

    def __init__(self, max_requests: int, max_body_bytes: int) -> None: ...
    def try_enter(self) -> bool:
        """One more request; each True needs one `leave`. False: full, or closed."""
    def try_reserve(self, count: int) -> bool:
        """Sets memory aside for a request that is in; `leave` gives it back."""
    def leave(self, reserved_bytes: int) -> None: ...
    def close(self) -> None:
        """Admits nothing from now on."""
    max_requests: int
    """May be set at any time; those that are in stay."""
    @property
    def active(self) -> int: ...
    @property
    def body_bytes(self) -> int: ...
    @property
    def received_bytes(self) -> int: ...
    @property
    def is_closed(self) -> bool: ...

class Exchange:
    """One request on its express way; awaiting it ends when its answer is on the way."""

    scope: Any
    proto: Any
    headers: Any
    request_id: str
    given_up: Exception | None
    """Why its body is not awaited any longer."""
    tag: int
    """Of a request that waits for its batch; else 0."""
    is_over: bool
    @property
    def route(self) -> Any:
        """The route, as `Front.add_route` was given it."""
    @property
    def express(self) -> PredictRoute: ...
    @property
    def age_s(self) -> float: ...
    @property
    def is_reading(self) -> bool:
        """Whether its body is not there yet."""
    def __await__(self) -> Generator[Any, Any]: ...
    def give_up(self, error: Exception) -> None:
        """Stops waiting for the body; ``hooks.lost`` follows, unless the body was quicker."""
    def close(self) -> bool:
        """To be called before its one answer is sent; False: it has been answered."""
    def finish(self) -> None:
        """To be called after its answer was sent."""

def shorten_turns(thread: int, length_ms: float) -> bool:
    """Asks the kernel for turns of at most that length for a thread of this process.

    Args:
        thread: Its kernel id.
        length_ms: 0.1 to 100; 0: as the kernel has it.

    Returns:
        False where the system refuses. Linux before 6.12 takes it and changes nothing.
    """

class Front:
    """Where requests for express routes enter from Granian, and leave. Any thread.

    Args:
        hooks: Has ``stir()``, ``refuse(exchange, error)``, ``lost(exchange, error)``,
            ``general(exchange, body)`` and ``failed(…)``; each on the thread where the need arises.
        pass_on: The event loop's own ``call_soon_threadsafe``.
        gate: Counts the requests.
        keys: None, or has ``knows(headers)``.
        max_body_bytes: Longer bodies take the general way.
        process_id: Is in the request ids made up here; unique to this object.
        statuses: HTTP status by the name of an error's class, for errors of the core.
    """

    is_stirred: bool
    """While False, the next request calls ``hooks.stir()`` and sets it."""
    def __init__(
        self,
        hooks: object,
        pass_on: Callable[..., Any],
        gate: Gate,
        keys: object | None,
        max_body_bytes: int,
        process_id: str,
        statuses: Mapping[str, int],
    ) -> None: ...
    def add_route(self, route: object, path: str, id_prefix: str, express: object) -> None:
        """Serves POST ``path``, which nothing may follow, by a `PredictRoute`."""
    @property
    def call_soon(self) -> Callable[..., Any]:
        """What takes the place of the loop's ``call_soon_threadsafe``."""
    @property
    def admit(self) -> Callable[[object, object], Exchange | None]:
        """The exchange of a request, from its scope and its transport.

        None where the general way must answer, or refuse.
        """
    def drain(self, express: object) -> None:
        """Answers what has ended on that route. One thread only."""
    def answers(self) -> list[tuple[str, int, int]]:
        """``(path, status, how many)`` of the answers sent from here."""
    def older_than(self, seconds: float) -> list[Exchange]:
        """Exchanges that are not over and at least that old, oldest first."""
