"""A new encoder that catches up comes first; arrivals that give way wait, and not for ever."""

import os
import time

import pytest

from recsys.errors import OtherModel
from recsys.publishing.priority import KEY, LASTS, priority


def test_while_an_encoder_catches_up_those_who_give_way_leave_and_others_do_not(film_workspace, storage):
    with priority(storage, "b" * 64):
        with pytest.raises(OtherModel, match="model bbbbbbbbbb catches up and comes first"):
            film_workspace.publish(storage, yields=True)
        assert film_workspace.publish(storage).outcome == "published"
    assert storage.find(KEY) is None
    assert film_workspace.publish(storage, yields=True).outcome == "unchanged"


def test_priority_is_given_back_also_after_a_failure(folder):
    with pytest.raises(ZeroDivisionError), priority(folder, "b" * 64):
        raise ZeroDivisionError
    assert folder.find(KEY) is None


def test_priority_that_a_killed_process_left_ends_by_itself(film_workspace, folder):
    folder.write(KEY, b"b" * 64)
    old = time.time() - LASTS.total_seconds() - 5
    os.utime(folder.path(KEY), (old, old))
    assert film_workspace.publish(folder, yields=True).outcome == "published"
