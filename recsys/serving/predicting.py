"""Predictions for given items of one user: will they be clicked, would they then be bought, and for what value."""

from collections.abc import Iterable

import numpy as np

from recsys.errors import RequestError
from recsys.publishing.second import SecondSearcher
from recsys.ranking.mlp import Mlp
from recsys.serving.answers import Prediction, Predictions, Taste
from recsys.serving.items import Items
from recsys.serving.user_profiles import UserProfiles


class Predictor:
    """Predicts by the event heads of one release.

    Args:
        release: its id.
        users: make profiles of users.
        items: know ids.
        shown: ranks lists, by event heads or by something else.
    """

    def __init__(self, release: str, users: UserProfiles, items: Items, shown: SecondSearcher) -> None:
        self._release, self._users, self._items, self._shown = release, users, items, shown

    def predict(self, taste: Taste, items: Iterable[str | int]) -> Predictions:
        """Predict what a user does with items.

        Args:
            taste: what is known of the user.
            items: ids; an id counts once, in the order of its first place.

        Returns:
            A prediction for each item that the release holds.

        Raises:
            RequestError: the release has no event heads, or nothing is known of the user.
            EncoderError: the heads were learned over other profiles; or there is text, and no encoder.
        """
        heads = self._shown.second
        if not isinstance(heads, Mlp):
            raise RequestError(
                f"release {self._release} cannot predict events: its ranker has no event heads",
                remedy="set ranker.kinds to [mlp] and train a challenger; validation takes it where lists get better",
            )
        rows, unknown = self._users.rows_of(items)
        user = self._users.user(taste)
        if user.query_D is None:
            raise RequestError(
                "nothing that is known of this user is in the release",
                remedy="give a user, liked items or text",
            )
        if not rows:
            return Predictions(self._release, (), tuple(unknown))
        shortlist = self._shown.shortlist(
            user.query_D, user.known.likes, user.known.likes_HD, np.array(rows, np.int64), user.share
        )
        found = heads.predict(shortlist)
        nothing = [None] * len(rows)
        columns = zip(
            self._items.ids_of(rows),
            found.click_C.tolist(),
            nothing if found.purchase_C is None else found.purchase_C.tolist(),
            nothing if found.value_C is None else found.value_C.tolist(),
            strict=True,
        )
        return Predictions(self._release, tuple(Prediction(*one) for one in columns), tuple(unknown))
