"""Training under bf16 autocast on real images ends where training in float32 ends."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from monai.losses import DiceCELoss
from monai.networks.nets import BasicUNet
from PIL import Image

from monai_iel import HeatDiffusion, InverseEvolution, InverseEvolutionLoss

STEPS, BATCH, CASES, SIZE = 200, 6, 120, 64


def cells(folder: Path) -> tuple[torch.Tensor, torch.Tensor]:
    """White blood cells at 64 x 64: images ``B 3 H W`` in [0, 1] and class maps ``B 1 H W``."""
    images, labels = [], []
    for path in sorted((folder / "images").glob("*.png"))[:CASES]:
        image = Image.open(path).convert("RGB").resize((SIZE, SIZE), Image.Resampling.BILINEAR)
        label = Image.open(folder / "labels" / path.name).resize((SIZE, SIZE), Image.Resampling.NEAREST)
        images.append(np.array(image).transpose(2, 0, 1) / 255)
        labels.append(np.array(label)[None])
    return torch.tensor(np.stack(images), dtype=torch.float32), torch.tensor(np.stack(labels)).long()


def dice_after_training(
    images: torch.Tensor, labels: torch.Tensor, *, seed: int, gain: float, dtype: torch.dtype
) -> float:
    """Mean Dice of the two foreground classes on a third of the cases, trained on the others."""
    torch.manual_seed(seed)
    network = BasicUNet(2, 3, 3, features=(16, 16, 32, 32, 64, 16))
    layer = InverseEvolution(HeatDiffusion(), gain=gain)
    loss = InverseEvolutionLoss(DiceCELoss(to_onehot_y=True, softmax=True), layer)
    optimizer = torch.optim.Adam(network.parameters(), lr=2e-3)
    training, test = slice(0, 2 * len(images) // 3), slice(2 * len(images) // 3, None)
    for _ in range(STEPS):
        batch = torch.randint(0, training.stop, (BATCH,))
        optimizer.zero_grad()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=dtype == torch.bfloat16):
            logits = network(images[batch])
            assert logits.dtype == dtype
            value = loss(logits, labels[batch])
        value.backward()
        optimizer.step()
    network.eval()
    with torch.no_grad():
        found = network(images[test]).argmax(dim=1, keepdim=True)
    overlaps = [2 * ((found == c) & (labels[test] == c)).sum() for c in (1, 2)]
    sizes = [(found == c).sum() + (labels[test] == c).sum() for c in (1, 2)]
    return float(sum(o / s for o, s in zip(overlaps, sizes, strict=True)) / 2)


@pytest.mark.slow
@pytest.mark.parametrize("gain", [38, 237])
def test_two_hundred_steps_in_bf16_end_within_the_spread_of_the_seeds(gain: float, shared_data: Path) -> None:
    images, labels = cells(shared_data / "wbc")
    dice = {
        dtype: np.array([dice_after_training(images, labels, seed=s, gain=gain, dtype=dtype) for s in (0, 1, 2)])
        for dtype in (torch.float32, torch.bfloat16)
    }
    print(f"gain {gain}:", {str(dtype): values.round(4).tolist() for dtype, values in dice.items()})
    spread = float(np.ptp(dice[torch.float32]))
    assert abs(dice[torch.bfloat16].mean() - dice[torch.float32].mean()) < max(spread, 0.01)
    assert dice[torch.bfloat16].min() > 0.7, "nothing was learnt"
