"""Fusion: interactions teach a kernel head how words, meaning and taste join in one space."""

from recsys.fusion.params import FusionParams

__all__ = ["FusionParams"]
