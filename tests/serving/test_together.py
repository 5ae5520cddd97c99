"""recsys/serving/together.py: what threads ask at the same time."""

import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from time import sleep

import pytest

from recsys.serving.together import MOST, Together


class Squares:
    """Squares numbers, and remembers which came together. It can be held up; 13 cannot be squared."""

    def __init__(self) -> None:
        self.calls: list[list[int]] = []
        self.may_go = threading.Event()
        self.may_go.set()

    def __call__(self, numbers: list[int]) -> list[int]:
        self.calls.append(list(numbers))
        self.may_go.wait(60)
        if 13 in numbers:
            raise ValueError("13")
        return [number * number for number in numbers]


def held_up(squares: Squares, together: Together, first: int, others: list[int]) -> list:
    """What becomes of a first number, and of others that are asked for while it is computed."""
    squares.may_go.clear()
    with ThreadPoolExecutor(1 + len(others)) as pool:
        asked = [pool.submit(together, first)]
        while not squares.calls:
            sleep(0.001)
        asked += [pool.submit(together, number) for number in others]
        while len(together._waiting) < len(others):  # noqa: SLF001
            sleep(0.001)
        squares.may_go.set()
        return [one.exception(60) or one.result() for one in asked]


def test_a_question_that_comes_alone_is_answered_at_once() -> None:
    squares = Squares()
    together = Together(squares)
    assert [together(2), together(3)] == [4, 9]
    assert squares.calls == [[2], [3]]


def test_questions_that_come_meanwhile_are_answered_in_one_call() -> None:
    squares = Squares()
    together = Together(squares)
    assert held_up(squares, together, 2, [3, 4, 5]) == [4, 9, 16, 25]
    assert [sorted(call) for call in squares.calls] == [[2], [3, 4, 5]]
    assert together(6) == 36


def test_one_call_has_a_bounded_number_of_questions() -> None:
    squares = Squares()
    others = list(range(20, 20 + 2 * MOST + 1))
    assert held_up(squares, Together(squares), 2, others) == [4, *(number * number for number in others)]
    assert [len(call) for call in squares.calls] == [1, MOST, MOST, 1]


def test_a_question_that_has_no_answer_fails_alone() -> None:
    squares = Squares()
    together = Together(squares)
    four, nine, fault, sixteen = held_up(squares, together, 2, [3, 13, 4])
    assert (four, nine, sixteen) == (4, 9, 16)
    with pytest.raises(ValueError, match="13"):
        raise fault
    with pytest.raises(ValueError, match="13"):
        together(13)
    assert together(5) == 25


def test_the_next_question_leads_where_the_thread_that_did_is_ended() -> None:
    squares = Squares()
    together: Together = Together(lambda numbers: ended(numbers) if 1 in numbers else squares(numbers))

    def ended(numbers: list[int]) -> list[int]:
        squares(numbers)
        raise SystemExit

    assert [type(one) for one in held_up(squares, together, 2, [1])] == [int, SystemExit]
    assert together(3) == 9


def test_a_question_that_waits_no_more_leaves_the_lead_to_the_next() -> None:
    class Ended(Exception):
        pass

    def end(*_: object) -> None:
        raise Ended

    squares = Squares()
    together: Together = Together(squares)
    before = signal.signal(signal.SIGUSR1, end)
    try:
        squares.may_go.clear()
        with ThreadPoolExecutor(2) as pool:
            leader = pool.submit(together, 2)
            while not squares.calls:
                sleep(0.001)

            def interrupt() -> None:
                while not together._waiting:  # noqa: SLF001
                    sleep(0.001)
                signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGUSR1)

            pool.submit(interrupt)
            with pytest.raises(Ended):
                together(3)
            squares.may_go.set()
            assert leader.result(60) == 4
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert together(5) == 25
    assert squares.calls == [[2], [5]]


def test_many_threads_get_the_answers_to_their_own_questions() -> None:
    squares = Squares()
    together = Together(squares)
    numbers = [number for number in range(2000) if number != 13]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(together, numbers)) == [number * number for number in numbers]
    assert sorted(number for call in squares.calls for number in call) == numbers
