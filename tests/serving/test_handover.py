"""What workers and their supervisor tell each other, without processes."""

from pathlib import Path

from recsys.serving.service.handover import Handover, Outcome
from recsys.serving.service.pulse import LONGEST_START_S, Pulse, Silence


def test_a_worker_whose_work_others_have_taken_over_waits_for_nobody(tmp_path: Path) -> None:
    handover = Handover(tmp_path)
    handover.note(Outcome(release="000002-b", n_swaps=2))
    assert handover.ask("tag", "000001-a", lambda: False).release == "000002-b"
    assert handover.messages() == []


def test_a_worker_asks_until_something_became_of_it(tmp_path: Path) -> None:
    handover = Handover(tmp_path)
    handover.note(Outcome(release="000001-a", n_swaps=1))
    looks = iter(range(100))

    def is_over() -> bool:
        if next(looks) == 3:
            handover.note(Outcome(release="000002-b", n_swaps=2))
        return False

    assert handover.ask("tag", "000001-a", is_over).release == "000002-b"
    assert [one["look"] for one in handover.messages()] == ["tag"]


def test_a_release_that_was_refused_is_asked_for_once_and_not_waited_for(tmp_path: Path) -> None:
    handover = Handover(tmp_path)
    refused = Outcome(release="000001-a", n_swaps=1, n_refused=1, refused="tag", problem="damaged")
    handover.note(refused)
    assert handover.ask("tag", "000001-a", lambda: False) == refused
    assert [one["look"] for one in handover.messages()] == ["tag"]


def test_a_process_that_never_begins_is_taken_to_hang_in_the_end() -> None:
    silence = Silence(0, Pulse(), most_s=1)
    assert silence.look(LONGEST_START_S) == ""
    assert silence.look(1) == f"not at work after {LONGEST_START_S + 1:.0f} s"
