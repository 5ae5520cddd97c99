"""Choose a learned ranker instead of item weights, if it is better on held-out lists.

The heads are learned by stacking (Wolpert 1992, Stacked generalization): a fifth of the items is held out completely,
and a fifth of the interactions with the others, at random. Profiles and item weights are learned from the rest, and the
heads learn from what was held out. So they see scores with the same errors as those of new items and interactions.

Heads that were learned from a part of the training side are judged on another part, the one by which item weights are
chosen. The heads of the challenger are learned from the whole training side.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from recsys.dataset.dataset import Dataset
from recsys.encoders.params import FirstLightParams
from recsys.heads.learning import find_head
from recsys.heads.params import FusionParams
from recsys.heads.recipe import Recipe
from recsys.ranking.dot import Dot
from recsys.ranking.event_examples import Events, Examples, examples_of, joined
from recsys.ranking.event_heads import EventHeads
from recsys.ranking.event_learning import MlpSettings, learn_mlp
from recsys.ranking.event_training import learn_event_heads
from recsys.ranking.head_and_tail import TAIL, TailRule
from recsys.ranking.item_weights import ItemWeights
from recsys.ranking.params import RankerParams
from recsys.ranking.ranker import Ranker
from recsys.ranking.recommender import learn_recommender
from recsys.ranking.tasks import RankingTask, make_task
from recsys.validation.bounds import lower_bound
from recsys.validation.choices import RidgeChoice
from recsys.validation.sets import COLD, MIXED, WARM, ValidationSet, hold_out_items_and_pairs
from recsys.validation.tuning import tuning_sets
from recsys.validation.weighing import profiled, untrained_lists

# Shape suffixes: U users, I items.
NDCG = 0
"""Column of `metrics_per_user`."""
MLP, WEIGHTS = "mlp", "item weights"
"""The two rankers, in reports."""


@dataclass(frozen=True)
class LearnedChoice:
    """Whether a learned ranker is taken, and why."""

    settings: MlpSettings | None
    """None: none is taken."""
    reason: str
    """A sentence for reports; empty where none is tried."""
    lists: Mapping[str, float]
    """`<list> by mlp` and `<list> by item weights` -> mean ndcg@k; empty where nothing was judged."""


def choose_learned_ranker(
    dataset: Dataset,
    shipped: Dataset,
    held: NDArray[np.int64],
    recipe: Recipe,
    fusion: FusionParams,
    params: RankerParams,
    first_light: FirstLightParams,
    untrained: RidgeChoice,
    k: int,
    max_users: int,
    tail: TailRule,
    events: Events | None = None,
    report: Callable[[str], None] = lambda _: None,
) -> LearnedChoice:
    """Try `mlp`, and take it where lists are surely better by it.

    It is taken if the lower bound of its gain in ndcg@k over item weights is above 0 on warm and on mixed lists, and at
    least -`max_loss_cold` on lists of cold items alone. There item weights keep the order of the profiles, which may be
    as good as texts allow, so the same lists are good enough, as they are for the gate. Its tail must pass the gate as
    that of item weights must, see `choose_item_weights`.

    Args:
        dataset: the whole training side, with the encoder's vectors.
        shipped: the same with the profiles that ship.
        held: rows of the items that are held out cold to judge by.
        recipe: of the head and of item weights.
        fusion: section `fusion`.
        params: section `ranker`.
        first_light: section `first_light`: the head that is published before anything is trained.
        untrained: λ and prior of users over what is published then.
        k: cutoff.
        max_users: the most users of each list.
        tail: the gate's rule for the tail.
        events: purchases and values; None: interactions alone are known.
        report: called with a sentence at each step.

    Returns:
        The choice.
    """
    if MLP not in params.kinds:
        return LearnedChoice(None, "", {})
    judging = hold_out_items_and_pairs(dataset, held, fusion.seed, max_users, tail.head_share)
    if judging is None or not {WARM, MIXED} <= judging.tasks.keys():
        return LearnedChoice(None, "no learned ranker: nobody to judge it by", {})
    report("validation: learning event heads to judge them")
    learned = _over_head(judging, recipe, fusion)
    heads = None
    if learned is not None:
        known = None if events is None else events.hiding(_held_out(judging.dataset, dataset))
        heads = learn_stacked_heads(judging.dataset, learned, recipe, fusion, params, max_users, known)
    if learned is None or heads is None:
        return LearnedChoice(None, "no learned ranker: too few interactions to learn one from", {})
    cold = make_task(
        COLD, held, judging.dataset.interactions, dataset.interactions.matrix_UI, max_users, fusion.seed
    )
    tasks = {WARM: judging.tasks[WARM], MIXED: judging.tasks[MIXED]} | (
        {COLD: cold} if len(cold.users) else {}
    )
    settings = MlpSettings(
        heads, recipe.item_weights(fusion), params.depth, params.purchase_weight, params.traits
    )
    judging = replace(judging, tasks=tasks)
    found = _judged(judging, learned, settings, k)
    gains = {name: found[MLP][name][:, NDCG] - found[WEIGHTS][name][:, NDCG] for name in tasks}
    lists = {
        f"{name} by {choice}": float(found[choice][name][:, NDCG].mean())
        for choice in (MLP, WEIGHTS)
        for name in tasks
    }
    bounds = {name: lower_bound([gain_U], params.standard_errors) for name, gain_U in gains.items()}
    words = ", ".join(
        f"{name} {gains[name].mean():+.4f} (at least {bounds[name]:+.4f})" for name in sorted(gains)
    )
    if not all(
        bound >= -params.max_loss_cold if name == COLD else bound > 0 for name, bound in bounds.items()
    ):
        return LearnedChoice(None, f"item weights stay: mlp changes ndcg@{k} by {words}", lists)
    if judging.tail is not None:
        before = untrained_lists(judging, first_light, untrained, k)
        change = tail.change(found[MLP][TAIL][:, NDCG], before[TAIL][:, NDCG])
        if not change.will_keep(tail.max_loss):
            reason = (
                f"item weights stay: with mlp the tail may not pass the gate, it changes ndcg@{k} by {change}"
            )
            return LearnedChoice(None, reason, lists)
    report("validation: learning event heads from the whole training side")
    whole = learn_stacked_heads(dataset, shipped, recipe, fusion, params, max_users, events)
    if whole is None:
        return LearnedChoice(None, "no learned ranker: too few interactions to learn one from", lists)
    shown = events is not None and events.shown_UI is not None
    basis = "impressions" if shown else "sampled candidates, since no impressions are known"
    reason = f"mlp is taken: it changes ndcg@{k} by {words}; learned from {basis}"
    return LearnedChoice(replace(settings, heads=whole), reason, lists)


def learn_stacked_heads(
    dataset: Dataset,
    onto: Dataset,
    recipe: Recipe,
    fusion: FusionParams,
    params: RankerParams,
    max_users: int,
    events: Events | None = None,
) -> EventHeads | None:
    """Learn event heads on items and interactions that are held out of everything they read.

    Args:
        dataset: with the encoder's vectors.
        onto: the same with the profiles that the heads will read; those of items in the examples are not zero.
        recipe: of the head and of item weights.
        fusion: section `fusion`.
        params: section `ranker`.
        max_users: the most users to learn from, for lists of warm and of cold items.
        events: purchases and values.

    Returns:
        The heads; None where there is too little to learn from.
    """
    sets = tuning_sets(dataset)[:1]
    learned = _over_head(sets[0], recipe, fusion) if sets else None
    if learned is None:
        return None
    settings = recipe.item_weights(fusion)
    weights = ItemWeights.learn(learned, settings) if settings else None
    examples = held_out_examples(sets[0], dataset, learned, weights, params, max_users, events)
    if params.width:
        examples = examples.moved(np.union1d(learned.warm, sets[0].held), onto.vectors_ID)
    found = learn_event_heads(examples, params) if len(examples.item_E) else None
    return None if found is None else found[0]


def held_out_examples(
    held_out: ValidationSet,
    dataset: Dataset,
    learned: Dataset,
    weights: ItemWeights | None,
    params: RankerParams,
    max_users: int,
    events: Events | None = None,
) -> Examples:
    """Make examples of warm and of cold items, recalled separately, so that both kinds of lists are learned from.

    Args:
        held_out: the items and interactions that are held out.
        dataset: all of the data.
        learned: the rest, with profiles and λ.
        weights: item weights of the rest; None: there are none.
        params: section `ranker`.
        max_users: the most users of each kind.
        events: purchases and values.

    Returns:
        The examples.
    """
    known = held_out.dataset.interactions
    held_UI = _held_out(held_out.dataset, dataset)
    recommender = learn_recommender(learned, weights or Dot(), params.traits)
    tasks: list[RankingTask] = [
        make_task(name, rows, known, held_UI, max_users, params.seed)
        for name, rows in ((WARM, known.warm), (COLD, held_out.held))
    ]
    return joined(
        [
            examples_of(recommender, task, params.depth, params.negatives, params.seed + place, events)
            for place, task in enumerate(tasks)
        ]
    )


def _over_head(validation: ValidationSet, recipe: Recipe, fusion: FusionParams) -> Dataset | None:
    """The set's dataset with profiles of a head that was learned from it; None where none can be learned."""
    head = find_head(validation.dataset, recipe, fusion)
    return None if head is None else profiled(validation, head, recipe.lambda_of(head), recipe.prior_weight)


def _held_out(known: Dataset, dataset: Dataset) -> csr_array:
    """1 for each pair of a dataset that is missing in a part of it."""
    held_UI = csr_array(dataset.interactions.matrix_UI - known.interactions.matrix_UI)
    held_UI.eliminate_zeros()
    return held_UI


def _judged(
    judging: ValidationSet, learned: Dataset, settings: MlpSettings, k: int
) -> dict[str, dict[str, NDArray[np.float64]]]:
    """Choice -> list -> metrics of each user, by the learned ranker and by the one that it reranks."""
    mlp = learn_mlp(learned, settings)
    first: Ranker = mlp.first if mlp else Dot()
    return judging.per_user(learned, {MLP: mlp or first, WEIGHTS: first}, k)
