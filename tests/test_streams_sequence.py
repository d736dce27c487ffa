"""The books of a stream: each number answered once, in order, whatever comes in which order."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from slipstream.errors import InvalidInputError, SequenceConflictError, StreamFullError
from slipstream.streams.sequence import Counts, Sequence


def filled(size: int, *numbers: int) -> Sequence[str, str]:
    """A sequence that has accepted these."""
    sequence: Sequence[str, str] = Sequence(size)
    for number in numbers:
        assert sequence.accept(number, b"", f"work {number}", 0)
    return sequence


def run_all(sequence: Sequence[str, str], *, in_order: bool = False) -> list[int]:
    """Runs what can run, one after the other."""
    ran = []
    while (following := sequence.next_to_run(in_order=in_order)) is not None:
        number, work = following
        assert work == f"work {number}"
        sequence.finish(number, f"result {number}", 0)
        ran.append(number)
    return ran


def numbers(results: list[tuple[int, str]]) -> list[int]:
    assert all(result == f"result {number}" for number, result in results)
    return [number for number, _ in results]


class TestOrder:
    def test_entries_run_as_they_come_and_are_handed_out_in_order(self) -> None:
        sequence = filled(10, 3, 1, 2)
        assert run_all(sequence) == [3, 1, 2]
        assert numbers(sequence.take(None, 10)) == [1, 2, 3]
        assert sequence.take(None, 10) == []

    def test_a_model_with_states_has_them_run_in_order_too(self) -> None:
        sequence = filled(10, 3, 1)
        assert run_all(sequence, in_order=True) == [1]
        assert not sequence.can_go_on(in_order=True)
        sequence.accept(2, b"", "work 2", 0)
        assert sequence.next_to_run(in_order=True) == (2, "work 2")
        assert sequence.next_to_run(in_order=True) is None, "one at a time"
        sequence.finish(2, "result 2", 0)
        assert run_all(sequence, in_order=True) == [3]

    def test_results_behind_a_gap_wait(self) -> None:
        sequence = filled(10, 1, 3)
        run_all(sequence)
        assert numbers(sequence.take(None, 10)) == [1]
        assert sequence.counts == Counts(received=2, delivered=1, discarded=1)

    def test_one_that_is_put_back_is_the_next_again(self) -> None:
        sequence = filled(10, 1, 2)
        number, work = sequence.next_to_run(in_order=False) or (0, "")
        sequence.put_back(number, work)
        assert run_all(sequence) == [1, 2]


class TestRepeats:
    def test_a_repeated_number_is_taken_once(self) -> None:
        sequence = filled(3, 1, 2)
        assert not sequence.accept(1, b"", "again", 0)
        assert run_all(sequence) == [1, 2]
        assert not sequence.accept(1, b"", "again", 0)
        sequence.take(None, 10)
        assert not sequence.accept(1, b"", "again", 0)
        assert sequence.counts == (2, 2, 0)

    def test_other_data_under_the_same_number_is_a_conflict(self) -> None:
        sequence = filled(2, 1)
        with pytest.raises(SequenceConflictError, match="sequence_id 1 was sent before"):
            sequence.accept(1, b"other", "", 0)
        run_all(sequence)
        sequence.take(None, 1)
        with pytest.raises(SequenceConflictError):
            sequence.accept(1, b"other", "", 0)

    def test_what_is_no_longer_retained_is_acknowledged(self) -> None:
        sequence = filled(1, 1)
        for number in (2, 3):
            run_all(sequence)
            sequence.take(None, 1)
            sequence.accept(number, b"", f"work {number}", 0)
        assert not sequence.accept(1, b"other", "", 0)


class TestBounds:
    @pytest.mark.parametrize("number", [0, -1])
    def test_numbers_start_at_one(self, number: int) -> None:
        with pytest.raises(InvalidInputError, match="the first one is 1"):
            filled(3).accept(number, b"", "", 0)

    def test_the_buffer_bounds_what_was_not_read(self) -> None:
        sequence = filled(2, 1, 2)
        with pytest.raises(StreamFullError, match="wait for results"):
            sequence.accept(3, b"", "", 0)
        run_all(sequence)
        with pytest.raises(StreamFullError, match="read results"):
            sequence.accept(3, b"", "", 0)
        sequence.take(None, 1)
        assert sequence.accept(3, b"", "work 3", 0)

    def test_the_buffer_bounds_gaps(self) -> None:
        sequence = filled(3, 3)
        with pytest.raises(StreamFullError, match="send sequence_id 1,"):
            sequence.accept(4, b"", "", 0)
        assert sequence.accept(1, b"", "", 0)
        with pytest.raises(StreamFullError, match="send sequence_id 2,"):
            sequence.accept(4, b"", "", 0)

    def test_bytes_are_those_of_data_then_of_results(self) -> None:
        sequence: Sequence[str, str] = Sequence(1)
        empty = filled(1, 1).held_bytes
        sequence.accept(1, b"", "", 1000)
        assert sequence.held_bytes == empty + 1000
        sequence.next_to_run(in_order=False)
        sequence.finish(1, "r", 10)
        sequence.take(None, 1)
        assert sequence.held_bytes == empty + 10
        sequence.forget_retained()
        assert sequence.held_bytes == 0


class TestReadingAgain:
    def test_after(self) -> None:
        sequence = filled(4, 1, 2, 3, 4)
        run_all(sequence)
        assert numbers(sequence.take(None, 2)) == [1, 2]
        assert numbers(sequence.take(0, 3)) == [1, 2, 3]
        assert numbers(sequence.take(1, 10)) == [2, 3, 4]
        assert numbers(sequence.take(0, 2)) == [1, 2]
        assert sequence.take(4, 10) == []

    def test_as_many_as_the_buffer_holds_are_retained(self) -> None:
        sequence = filled(2, 1, 2)
        for number in (3, 4, 5):
            run_all(sequence)
            sequence.take(None, 1)
            sequence.accept(number, b"", f"work {number}", 0)
        run_all(sequence)
        assert numbers(sequence.peek(0, 10)) == [2, 3, 4, 5]

    def test_nothing_can_be_skipped(self) -> None:
        sequence = filled(4, 1)
        run_all(sequence)
        for after in (1, -1):
            with pytest.raises(InvalidInputError, match="the last result handed out is 0"):
                sequence.take(after, 1)

    def test_a_look_takes_nothing(self) -> None:
        sequence = filled(4, 1)
        run_all(sequence)
        assert numbers(sequence.peek(None, 9)) == numbers(sequence.take(None, 9)) == [1]


SIZE = 4


class AnyInterleaving(RuleBasedStateMachine):
    """Sends (permuted, repeated, wrong), completions and reads, against the plainest of books."""

    def __init__(self) -> None:
        super().__init__()
        self.sequence: Sequence[int, int] = Sequence(SIZE)
        self.accepted: set[int] = set()
        self.running: list[int] = []
        self.done: set[int] = set()
        self.read: list[int] = []
        self.ran: list[int] = []
        self.in_order = False

    @rule(in_order=st.booleans())
    @precondition(lambda self: not self.accepted)
    def choose_a_model(self, in_order: bool) -> None:
        self.in_order = in_order

    @rule(offset=st.integers(-2 * SIZE, SIZE + 2))
    def send(self, offset: int) -> None:
        number = len(self.read) + offset
        fits = 1 <= number <= len(self.read) + SIZE
        try:
            is_new = self.sequence.accept(number, b"%d" % number, number, number)
        except (InvalidInputError, StreamFullError):
            assert not fits
            return
        assert fits
        assert is_new == (number not in self.accepted)
        self.accepted.add(number)

    @rule(number=st.integers(1, 30))
    def send_other_data(self, number: int) -> None:
        known = number in self.accepted and number > len(self.read) - SIZE
        if known:
            with pytest.raises(SequenceConflictError):
                self.sequence.accept(number, b"other", 0, 0)

    @rule(put_back=st.booleans())
    def start_one(self, put_back: bool) -> None:
        following = self.sequence.next_to_run(in_order=self.in_order)
        waiting = self.accepted - self.done - set(self.running)
        if following is None:
            first = len(self.done) + 1
            assert not waiting or (self.in_order and (self.running or first not in waiting))
            return
        number, work = following
        assert number == work and number in waiting
        assert not self.in_order or (not self.running and number == len(self.done) + 1)
        if put_back:
            self.sequence.put_back(number, work)
            return
        self.running.append(number)
        self.ran.append(number)

    @rule(data=st.data())
    @precondition(lambda self: self.running)
    def end_one(self, data: st.DataObject) -> None:
        number = self.running.pop(data.draw(st.integers(0, len(self.running) - 1)))
        self.done.add(number)
        self.sequence.finish(number, number * 10, 1)

    @rule(most=st.integers(1, SIZE + 1))
    def take(self, most: int) -> None:
        taken = self.sequence.take(None, most)
        assert all(result == number * 10 for number, result in taken)
        self.read += [number for number, _ in taken]
        assert len(taken) == most or len(self.read) + 1 not in self.done

    @rule(back=st.integers(0, 2 * SIZE), most=st.integers(1, 3 * SIZE))
    def take_again(self, back: int, most: int) -> None:
        after = max(0, len(self.read) - back)
        taken = [number for number, _ in self.sequence.take(after, most)]
        oldest = max(after, len(self.read) - SIZE)
        assert taken == list(range(oldest + 1, oldest + 1 + len(taken)))
        self.read += [number for number in taken if number > len(self.read)]

    @invariant()
    def each_is_answered_once_in_order(self) -> None:
        assert self.read == list(range(1, len(self.read) + 1))
        assert len(set(self.ran)) == len(self.ran), "nothing runs twice"
        if self.in_order:
            assert self.ran == sorted(self.ran)

    @invariant()
    def counts_add_up(self) -> None:
        counts = self.sequence.counts
        assert counts == (len(self.accepted), len(self.read), self.sequence.pending)
        assert counts.received == counts.delivered + counts.discarded
        assert self.sequence.queued == len(self.accepted) - len(self.done)
        assert self.sequence.pending <= SIZE

    def teardown(self) -> None:
        """Whatever happened, everything that can be answered is, and memory comes back."""
        while (following := self.sequence.next_to_run(in_order=False)) is not None:
            self.running.append(following[0])
        for number in self.running:
            self.sequence.finish(number, number * 10, 1)
        rest = [number for number, _ in self.sequence.take(None, SIZE)]
        reachable = len(self.read)
        while reachable + 1 in self.accepted:
            reachable += 1
        assert rest == list(range(len(self.read) + 1, reachable + 1))
        if not self.sequence.pending:
            self.sequence.forget_retained()
            assert self.sequence.held_bytes == 0


TestAnyInterleaving = AnyInterleaving.TestCase
TestAnyInterleaving.settings = settings(max_examples=100, stateful_step_count=60, deadline=None)
