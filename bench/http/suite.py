"""The suite: starts the servers of a model, measures every scenario of it, goes on to the next.

All contenders of a scenario run at once, and take turns: while one is measured, the others are
stopped (SIGSTOP), so that they cost nothing; Ray Serve, whose processes watch each other, is idle
instead. Servers of other models are not running.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from typing import Any

from bench.http import bodies, generator, servers, special
from bench.http.bodies import OWN, Dialect
from bench.http.generator import LoadError, Measured, Traffic
from bench.http.models import DEEP, GBDT, SMALL, WIDE, Model
from bench.http.rounds import Contender, run
from bench.http.scenarios import IDLE, RIVALS, SCENARIOS, WITH_IDLE, Plan, Scenario
from bench.http.servers import CONSTANT, ONE_WORKER, OURS
from bench.lib.servers import Server, only
from bench.lib.taken import Figures, Taken
from bench.rivals import registry

Say = Callable[[str], None]


class Suite:
    """One run. `record` holds, by scenario, what `bench.lib.goals` reads.

    Args:
        plan: How much is measured.
        rivals: Their names.
        chosen: Names of scenarios.
        say: Told about the progress.
        ours: Starts slipstream with these models; `bench.compare` starts another revision's too.
    """

    def __init__(
        self,
        plan: Plan,
        rivals: Sequence[str],
        chosen: Sequence[str],
        say: Say,
        ours: Callable[[Sequence[Model]], Server] = servers.slipstream,
    ) -> None:
        self.plan = plan
        self.rivals = tuple(rivals)
        self.chosen = set(chosen)
        self.say = say
        self.ours = ours
        self.scenarios: dict[str, list[dict[str, Any]]] = {}
        self.left_out: dict[str, str] = {}
        """Rivals that did not start, by name and model."""
        self.wrong: list[str] = []
        """What failed of ours, and every wrong answer of anybody."""

    def measure(self) -> None:
        """Measures all that was chosen.

        Raises:
            SetupError: slipstream or the constant server did not start.
        """
        for model in (SMALL, GBDT, WIDE, DEEP):
            mine = [one for one in SCENARIOS if one.model is model and one.name in self.chosen]
            extra = [name for name in _specials_of(model) if name in self.chosen]
            if mine or extra:
                with ExitStack() as stack:
                    self._measure_model(model, mine, extra, stack)

    def _measure_model(
        self, model: Model, mine: Sequence[Scenario], extra: Sequence[str], stack: ExitStack
    ) -> None:
        ours = stack.enter_context(self.ours([model]))
        running: dict[str, tuple[Server, Dialect]] = {OURS: (ours, OWN)}
        wanted = {name for one in mine for name in one.contenders}
        if ONE_WORKER in wanted or "bad_clients" in extra:
            alone = servers.slipstream([model], ONE_WORKER, env={"MAX_WORKERS": "1"})
            running[ONE_WORKER] = (stack.enter_context(alone), OWN)
        if CONSTANT in wanted or any(name.startswith("overload") for name in extra):
            running[CONSTANT] = (stack.enter_context(servers.constant(model, ours)), OWN)
        if RIVALS in wanted or "bad_clients" in extra:
            found, left_out = registry.start_all(self.rivals, model, stack)
            self.left_out |= {f"{name}, {model.name}": why for name, why in left_out.items()}
            for name, server in found.items():
                running[name] = (server, registry.BY_NAME[name].dialect)
        for scenario in mine:
            self.say(f"{scenario.name}: {scenario.title}")
            self._keep(scenario.name, self._run(scenario, running))
        for name in extra:
            self._special(name, model, running)

    def _run(self, scenario: Scenario, running: dict[str, tuple[Server, Dialect]]) -> list[Taken]:
        names = [
            name
            for word in scenario.contenders
            for name in ([n for n in running if n in self.rivals] if word == RIVALS else [word])
        ]
        contenders = []
        for name in names:
            server, dialect = running[OURS if name == WITH_IDLE else name]
            idle = IDLE if name == WITH_IDLE else 0
            traffic = self._traffic(scenario, name, server, dialect)
            block = partial(self._block, server, traffic, idle)
            contenders.append(Contender(name, server, block))
        return run(contenders, self.plan.rounds, self.say)

    def _block(self, server: Server, traffic: Traffic, idle: int) -> Measured:
        found = generator.run(
            server.address, [traffic], self.plan.block_s, self.plan.warmup_s, idle=idle
        )
        return found["all"]

    def _traffic(self, scenario: Scenario, name: str, server: Server, dialect: Dialect) -> Traffic:
        options: dict[str, Any] = {"connections": scenario.connections}
        if scenario.rate is not None:
            options |= {"rate": scenario.rate, "arrivals": scenario.arrivals}
        traffic = bodies.traffic(dialect, scenario.model, scenario.rows, **options)
        return servers.constant_traffic(traffic, server) if name == CONSTANT else traffic

    def _special(self, name: str, model: Model, running: dict[str, tuple[Server, Dialect]]) -> None:
        seconds, warmup_s = self.plan.special_s, self.plan.warmup_s
        self.say(f"{name}: {special.TITLES[name]}")
        every = [server for server, _ in running.values()]
        if name == "bad_clients":
            taken = []
            for who, (server, dialect) in running.items():
                if who == CONSTANT:
                    continue
                with only(server, every):
                    block = partial(special.bad_clients, server, dialect, seconds)
                    taken.append(self._rounds_of(who, 1, block))
            self._keep(name, taken)
            return
        ours, _ = running[OURS]
        if name.startswith("overload"):
            ceiling, _ = running[CONSTANT]
            block = partial(special.overload, ours, ceiling, model, seconds, warmup_s)
        else:
            block = partial(special.urgent, ours, model, seconds, warmup_s)
        with only(ours, every):
            self._keep(name, [self._rounds_of(OURS, self.plan.rounds, block)])

    def _rounds_of(self, who: str, rounds: int, block: Callable[[], Figures]) -> Taken:
        taken = Taken(who)
        for number in range(1, rounds + 1):
            try:
                figures = block()
            except LoadError as error:
                taken.left_out, taken.rounds = str(error), []
                self.say(f"  {who:<20} left out: {error}")
                break
            taken.rounds.append(figures)
            said = "  ".join(f"{key} {value:,.4g}" for key, value in figures.items())
            self.say(f"  round {number}/{rounds}  {who:<20} {said}")
        return taken

    def _keep(self, name: str, taken: Sequence[Taken]) -> None:
        self.scenarios[name] = [one.record() for one in taken]
        for one in taken:
            if one.left_out is not None and (one.name.startswith(OURS) or "wrong" in one.left_out):
                self.wrong.append(f"{name}, {one.name}: {one.left_out}")


def _specials_of(model: Model) -> tuple[str, ...]:
    found = {
        GBDT.name: ("bad_clients",),
        WIDE.name: ("overload", "urgent"),
        DEEP.name: ("overload_deep", "urgent_deep"),
    }
    return found.get(model.name, ())
