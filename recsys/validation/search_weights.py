"""Choose the weights of search, and of what describes users with short histories, on the training side alone.

Users and items are held out, and the head and ranker of the recipe are learned from the rest. `lexical_weight` is
chosen by queries, and the temperature of probabilities by the same; `typical_weight` by lists of the held-out users who
like one item, two or five, `text_weight` by the same with words about them, and `user_weight` by short queries for an
item that a held-out user likes. A weight other than that of params.yaml must be surely better than it.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from recsys.dataset.dataset import Dataset
from recsys.dataset.histories import sample
from recsys.encoders.encoder import Encoder
from recsys.heads.headed import HeadedEncoder, query_profiles
from recsys.heads.learning import find_head
from recsys.heads.params import FusionParams
from recsys.heads.recipe import Recipe
from recsys.models.parts import SearchPart
from recsys.ranking.dot import Dot
from recsys.ranking.item_weights import ItemWeights
from recsys.ranking.ranker import Ranker
from recsys.ranking.typical import typical_share
from recsys.retrieval.fusing import fused
from recsys.retrieval.params import SearchParams
from recsys.validation.new_users import CUTS, NewUser, NewUserScores, hold_out_users
from recsys.validation.queries import MOST_WORDS, Query, draw_clause, make_queries, shortened
from recsys.validation.searching import (
    MAX_ITEMS,
    Choice,
    SearchSlice,
    choose_lexical_weight,
    make_slice,
    narrowed,
    ndcg,
    surely_best,
)
from recsys.validation.temperature import choose_temperature, make_cases

# Shape suffixes: U users, I items, D dimension.
SHORT_QUERY = 3
"""Words of the queries by which `user_weight` is chosen: such that many items hold them."""


@dataclass(frozen=True)
class ChosenWeights:
    """What validation chose, and why."""

    part: SearchPart | None
    """None: no weight is surely better than that of params.yaml, and there is no temperature."""
    tried: Mapping[str, float]
    """`<weight> <value>` -> mean of ndcg@10 over queries, or of ndcg@20 over users; `temperature …` -> mean
    cross-entropy over queries, in nats."""


def choose_search_weights(
    dataset: Dataset,
    cold: NDArray[np.int64],
    recipe: Recipe,
    fusion: FusionParams,
    search: SearchParams,
    base: Encoder,
    judged: Sequence[Query] | None,
    report: Callable[[str], None] = lambda _: None,
) -> ChosenWeights:
    """Choose each weight among the values of section `search`.

    Args:
        dataset: the whole training side, over the encoder's vectors.
        cold: rows of items that are held out, as new items are.
        recipe: of head and ranker.
        fusion: section `fusion`.
        search: section `search`.
        base: the encoder.
        judged: queries over the dataset's rows; None: they are made from its texts.
        report: called with a sentence at each step.

    Returns:
        The weights.
    """
    report("validation: weights of search and of new users")
    queries, dataset = (judged, dataset) if judged is not None else _hidden(dataset, search, base)
    new = hold_out_users(dataset, cold, search.max_queries)
    learned = _learn(new.dataset if new else dataset, recipe, fusion, base)
    made = learned.slice(queries, search)
    choices = {
        "lexical_weight": choose_lexical_weight(
            made, search.lexical_weights, search.lexical_weight, search.standard_errors
        )
    }
    share = choices["lexical_weight"].value
    share = search.lexical_weight if share is None else share
    heat = choose_temperature(make_cases(made, share))
    if new is not None:
        texts_UD = learned.queries(_words_about(new.users, dataset.texts, search.seed))
        scores = NewUserScores(new.users, learned.profiled, learned.ranker, texts_UD)
        choices |= _known_little(scores, search)
        choices["user_weight"] = _personal(learned, scores, search, share)
    chosen = {name: one.value for name, one in choices.items() if one.value is not None}
    if heat.value is not None:
        chosen.setdefault("lexical_weight", share)  # the temperature belongs to the scores with this weight
    chosen_text = ", ".join(f"{name} {value:g}" for name, value in chosen.items())
    report(chosen_text or "no weight of search is surely better than that of params.yaml")
    tried = {f"{name} {value:g}": mean for name, one in choices.items() for value, mean in one.means.items()}
    tried |= {f"temperature {name}": loss for name, loss in heat.losses.items()}
    if heat.value is not None:
        report(f"temperature {heat.value:g} of probabilities")
        chosen["temperature"] = heat.value
    return ChosenWeights(SearchPart(**chosen) if chosen else None, tried)


def with_texts(dataset: Dataset, left: Mapping[int, str], base: Encoder) -> Dataset:
    """The dataset with other texts of some items, and with their vectors.

    Args:
        dataset: over the encoder's vectors.
        left: item row -> text.
        base: the encoder.

    Returns:
        The dataset.
    """
    if not left:
        return dataset
    texts, vectors_ID = list(dataset.texts), dataset.vectors_ID.copy()
    vectors_ID[list(left)] = base.encode(list(left.values()))
    for row, text in left.items():
        texts[row] = text
    return replace(dataset, texts=tuple(texts), vectors_ID=vectors_ID)


def _hidden(dataset: Dataset, search: SearchParams, base: Encoder) -> tuple[tuple[Query, ...], Dataset]:
    """Queries made from texts, and the dataset without the words that were removed for them."""
    rows = sample(np.arange(len(dataset.texts)), MAX_ITEMS, search.seed)
    queries, left = make_queries(dataset.texts, rows, search.max_queries, search.hidden_share, search.seed)
    return queries, with_texts(dataset, left, base)


@dataclass(frozen=True)
class _Learned:
    profiled: Dataset
    ranker: Ranker
    encoder: Encoder

    def queries(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Profiles of texts that look for items."""
        return query_profiles(self.encoder, texts, self.profiled.lexical_width)

    def slice(self, queries: Sequence[Query], search: SearchParams) -> SearchSlice:
        """What both parts of search answer to queries; the items are a sample of the dataset's rows."""
        rows, some = narrowed(queries, len(self.profiled.texts), search.max_queries, search.seed)
        texts = [self.profiled.texts[row] for row in rows.tolist()]
        queries_QD = self.queries([query.text for query in some])
        return make_slice(texts, self.profiled.vectors_ID[rows], some, queries_QD, k1=search.k1, b=search.b)


def _learn(dataset: Dataset, recipe: Recipe, fusion: FusionParams, base: Encoder) -> _Learned:
    """Head and ranker of the recipe; the encoder's vectors are the profiles where it has no head."""
    head = find_head(dataset, recipe, fusion) if recipe.has_head else None
    if head is None:
        return _Learned(dataset, Dot(), base)
    profiled = replace(
        dataset,
        vectors_ID=head.profiles(dataset.texts, dataset.vectors_ID, dataset.views),
        ridge_lambda=recipe.lambda_of(head),
        lexical_width=head.lexical_width,
        prior_weight=recipe.prior_weight,
    )
    settings = recipe.item_weights(fusion)
    ranker = ItemWeights.learn(profiled, settings) if settings else None
    return _Learned(profiled, ranker or Dot(), HeadedEncoder(base, head, "held out"))


def _words_about(users: Sequence[NewUser], texts: Sequence[str], seed: int) -> list[str]:
    """A clause of each described item, as a user's words."""
    rng = np.random.default_rng([seed, 4])

    def clause(row: int) -> str:
        return shortened(draw_clause(texts[row], rng) or texts[row], MOST_WORDS)

    return [", ".join(clause(row) for row in user.described) for user in users]


def _known_little(scores: NewUserScores, search: SearchParams) -> dict[str, Choice]:
    """Choose the weight of the typical history, then the weight of words about a user, at every cut."""
    by_cut = {cut: scores.by_history(cut) for cut in CUTS}
    typical_I, text_UI = scores.by_typical(), scores.by_text()

    def shares_U1(weight: float, cut: int, n_more: int) -> NDArray[np.float32]:
        known = (min(cut, len(user.known)) + n_more for user in scores.users)
        return np.array([[typical_share(weight, n)] for n in known], np.float32)

    def with_typical(weight: float) -> NDArray[np.float64]:
        lists = (by_cut[cut] + shares_U1(weight, cut, 0) * typical_I for cut in CUTS if cut)
        return _mean(scores.ndcg(one) for one in lists)

    def with_text(weight: float) -> NDArray[np.float64]:
        lists = (by_cut[cut] + weight * text_UI + shares_U1(share, cut, 1) * typical_I for cut in CUTS)
        return _mean(scores.ndcg(one) for one in lists)

    typical = _best(search.typical_weights, search.typical_weight, with_typical, search)
    share = search.typical_weight if typical.value is None else typical.value
    text = _best(search.text_weights, search.text_weight, with_text, search)
    return {"typical_weight": typical, "text_weight": text}


def _personal(
    learned: _Learned, scores: NewUserScores, search: SearchParams, lexical_weight: float
) -> Choice:
    """Choose the weight by short queries for an item that a user likes, among all items that hold their words."""
    rng = np.random.default_rng([search.seed, 5])
    found: dict[int, Query] = {}
    for place, user in enumerate(scores.users):
        row = int(rng.choice(user.relevant))
        clause = draw_clause(learned.profiled.texts[row], rng)
        if clause is not None:
            found[place] = Query(shortened(clause, SHORT_QUERY), {row: 1.0})
    if not found:
        return Choice(None, {})
    made = learned.slice(list(found.values()), search)
    history_UI = scores.history(max(CUTS))[list(found)]
    users_UD = scores.ridge.weights(history_UI @ learned.profiled.vectors_ID.astype(np.float64))
    rows, _ = narrowed(list(found.values()), len(learned.profiled.texts), search.max_queries, search.seed)
    users_UI = users_UD @ learned.profiled.vectors_ID[rows].T

    def with_user(weight: float) -> NDArray[np.float64]:
        weights = {"lexical_weight": lexical_weight, "user_weight": weight}
        cases = zip(made.queries, made.shares, made.cosines, users_UI, strict=True)
        return np.array(
            [
                ndcg(fused(words_I, cosines_I, user_I, weights), query)
                for query, words_I, cosines_I, user_I in cases
            ]
        )

    return _best(search.user_weights, search.user_weight, with_user, search)


def _best(
    values: Sequence[float],
    default: float,
    metric_of: Callable[[float], NDArray[np.float64]],
    search: SearchParams,
) -> Choice:
    if not values:
        return Choice(None, {})
    return surely_best({one: metric_of(one) for one in values}, metric_of(default), search.standard_errors)


def _mean(metrics: Iterable[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Mean over several lists of each user, [U]."""
    found: NDArray[np.float64] = np.mean(list(metrics), axis=0)
    return found
