"""The end of a distributed training."""

from __future__ import annotations

import torch
import torch.distributed.nn.functional  # keeps the group that it finds for ever, so it comes before there is one
from torch import nn

__all__ = ["leave_process_group"]


def leave_process_group(network: nn.Module) -> None:
    """Wait for the other processes, take the group out of the network, and end it.

    ``torch.distributed.destroy_process_group`` ends a group of gloo only if it is the last owner. Where a
    ``DistributedDataParallel`` outlives it, torch waits for gloo's threads later, with Python's lock held, and that can
    hang. This module has to be imported before there is a group, as bundles do by naming it.

    Args:
        network: the ``DistributedDataParallel``; of no use afterwards but for its ``module``.

    Example (2D and 3D alike; the function sees no images):
        >>> torch.distributed.init_process_group("gloo", store=torch.distributed.HashStore(), rank=0, world_size=1)
        >>> leave_process_group(nn.parallel.DistributedDataParallel(nn.Conv3d(1, 2, 1)))
        >>> torch.distributed.is_initialized()
        False
    """
    torch.distributed.barrier()  # no process leaves while another one writes
    for owner in ("reducer", "logger", "process_group"):
        vars(network).pop(owner, None)
    torch.distributed.destroy_process_group()
