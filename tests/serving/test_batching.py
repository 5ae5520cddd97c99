"""What threads ask for at the same time is computed in one go, and a fault of one is not told to the others."""

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from recsys.serving.batching import Batcher


class Squares:
    """Squares of numbers; the first computation waits until `go`, and 13 cannot be squared."""

    def __init__(self) -> None:
        self.asked: list[list[int]] = []
        self.begun, self.go = threading.Event(), threading.Event()

    def __call__(self, numbers: Sequence[int]) -> list[int]:
        self.asked.append(list(numbers))
        self.begun.set()
        assert self.go.wait(20)
        if 13 in numbers:
            raise ValueError("13")
        return [number**2 for number in numbers]


def in_threads(squares: Squares, batcher: Batcher[int, int], numbers: Sequence[int]) -> list[int | str]:
    """Ask for the first number; once its computation has begun, for the others at once."""

    def ask(number: int) -> int | str:
        try:
            return batcher.of(number)
        except ValueError as error:
            return str(error)

    with ThreadPoolExecutor(len(numbers)) as threads:
        first = threads.submit(ask, numbers[0])
        assert squares.begun.wait(20)
        others = [threads.submit(ask, number) for number in numbers[1:]]
        while len(batcher._waiting) < len(others):  # noqa: SLF001
            pass
        squares.go.set()
        return [one.result(20) for one in (first, *others)]


def test_those_who_come_meanwhile_are_computed_together_and_at_most_so_many() -> None:
    squares = Squares()
    assert in_threads(squares, Batcher(squares, 3), [1, 2, 2, 3, 4, 5]) == [1, 4, 4, 9, 16, 25]
    assert squares.asked[0] == [1] and sorted(map(len, squares.asked)) == [1, 2, 3]
    assert sorted(sum(squares.asked, [])) == [1, 2, 2, 3, 4, 5]


def test_a_fault_is_told_to_whoever_asked_for_it_alone() -> None:
    squares = Squares()
    assert in_threads(squares, Batcher(squares, 4), [1, 2, 13, 3]) == [1, 4, "13", 9]


def test_who_asks_alone_gets_the_fault_and_the_next_one_an_answer() -> None:
    squares = Squares()
    squares.go.set()
    batcher = Batcher(squares, 4)
    with pytest.raises(ValueError, match="13"):
        batcher.of(13)
    assert batcher.of(4) == 16
    assert squares.asked == [[13], [4]]
