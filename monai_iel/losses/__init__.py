"""Losses that see the logits through an inverse evolution layer."""

from monai_iel.losses.inverse_evolution_loss import InverseEvolutionLoss

__all__ = ["InverseEvolutionLoss"]
