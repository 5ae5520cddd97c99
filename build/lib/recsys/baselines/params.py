"""Names of the rivals, apart from their code: settings load neither scipy nor torch."""

from typing import Literal

RivalName = Literal["rbf_ridge", "als_map", "ease_prior", "two_tower", "blend"]
"""Baselines that may be judged beside champion and floors; section `evaluate` names them."""
