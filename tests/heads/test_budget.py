from recsys.heads.budget import within


def test_twenty_thousand_items_fit_into_half_an_hour_undiminished(fusion_params):
    params = fusion_params.model_copy(
        update={"max_landmarks": 15000, "max_users": 4000, "lexical_shares": (0.2, 0.6)}
    )
    assert within(1800, 20000, 10000, 1, params) == params


def test_less_time_means_fewer_landmarks_and_users(fusion_params):
    params = fusion_params.model_copy(update={"max_landmarks": 15000, "max_users": 4000})
    short, shorter = (within(seconds, 20000, 10000, 1, params) for seconds in (60, 10))
    assert 15000 > short.max_landmarks > shorter.max_landmarks >= 2
    assert 4000 > short.max_users > shorter.max_users >= 2


def test_a_small_data_set_is_never_cut(fusion_params):
    found = within(60, 100, 50, 3, fusion_params)
    assert (found.max_landmarks, found.max_users) == (100, 50)


def test_more_folds_leave_each_less(fusion_params):
    params = fusion_params.model_copy(update={"max_landmarks": 4000, "max_users": 4000})
    one, three = (within(30, 4000, 4000, folds, params) for folds in (1, 3))
    assert one.max_landmarks > three.max_landmarks and one.max_users > three.max_users


def test_views_leave_each_head_less_time_unless_none_is_tried(fusion_params):
    params = fusion_params.model_copy(update={"max_landmarks": 4000, "max_users": 4000})
    none, one, two = (within(30, 4000, 4000, 1, params, n_views) for n_views in (0, 1, 2))
    assert none.max_landmarks > one.max_landmarks > two.max_landmarks
    unused = params.model_copy(update={"view_weights": (0.0,)})
    assert within(30, 4000, 4000, 1, unused, 2).max_landmarks == none.max_landmarks
