from dataclasses import replace

import numpy as np

from recsys.ranking.centroid import Centroid
from recsys.ranking.last_users import LastUsers
from tests.dataset.make import dataset_of


def test_a_result_is_computed_once_for_the_users_that_were_asked_last():
    asked, last = [], LastUsers()
    for users in ([0, 1], [0, 1], [1], [0, 1], [0]):
        rows = np.array(users)
        assert last.of(rows, lambda: asked.append(users) or users) == users  # noqa: B023  called at once
        rows += 1  # whoever changes its rows later changes nothing here
    assert asked == [[0, 1], [1], [0, 1], [0]]


def test_a_scorer_with_other_vectors_remembers_nothing_of_the_old_ones():
    known = dataset_of(np.eye(3, dtype=np.float32), np.array([[1, 0, 0], [0, 1, 1]]))
    histories, both = known.interactions.matrix_UI.astype(np.float32), np.arange(2)
    old = Centroid(known.vectors_ID, histories, np.arange(3))
    assert old.scores(both, np.arange(3)).tolist() == [[1, 0, 0], [0, 1, 1]]
    new = replace(old, vectors_ID=2 * known.vectors_ID)
    assert new.scores(both, np.arange(3)).tolist() == [[4, 0, 0], [0, 4, 4]]
