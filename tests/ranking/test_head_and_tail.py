"""Head and tail of lists of warm items, by hand."""

import numpy as np
import pytest

from recsys.dataset.histories import PAD
from recsys.ranking.head_and_tail import head_and_tail
from recsys.ranking.tasks import RankingTask
from tests.dataset.make import interactions_of


def parts(n_users_I, relevant, head_share):
    matrix_UI = np.arange(max(n_users_I))[:, None] < np.array(n_users_I)  # so many users of each item
    relevant = np.array(relevant)
    users = np.arange(10, 10 + len(relevant))
    warm = RankingTask("warm", np.arange(len(n_users_I)), users, relevant, np.full((len(relevant), 1), PAD))
    return head_and_tail(interactions_of(matrix_UI), warm, head_share)


def test_positives_fall_to_the_side_of_their_item_and_users_without_any_are_left_out():
    head, tail = parts([9, 1, 5, 1, 1], [[1, 0, 4], [2, PAD, PAD], [3, PAD, PAD]], 0.4)  # head: items 0 and 2
    assert (head.name, tail.name) == ("head", "tail")
    assert head.users.tolist() == [10, 11] and head.relevant_UR.tolist() == [[0, PAD, PAD], [2, PAD, PAD]]
    assert tail.users.tolist() == [10, 12] and tail.relevant_UR.tolist() == [[1, 4, PAD], [3, PAD, PAD]]
    assert head.candidates.tolist() == tail.candidates.tolist() == [0, 1, 2, 3, 4]
    assert len(head.excluded_UE) == len(tail.excluded_UE) == 2


@pytest.mark.parametrize(("share", "n_head"), [(0.01, 1), (0.5, 3), (0.99, 5)])
def test_the_share_is_rounded_up_and_ties_go_by_row(share, n_head):
    head, tail = parts([2, 2, 2, 2, 2], [[0, 1, 2, 3, 4]], share)
    assert head.relevant_UR[0, :n_head].tolist() == list(range(n_head))
    assert (tail.relevant_UR != PAD).sum() == 5 - n_head


def test_a_warm_slice_without_users_has_empty_parts():
    head, tail = parts([1, 2], np.empty((0, 1), np.int64), 0.2)
    assert len(head.users) == len(tail.users) == 0
