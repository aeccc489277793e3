"""How several processes share weights and steps: Fabric's strategies, synchronised batch norms, whole states."""

from __future__ import annotations

from typing import Any

import torch
from lightning_fabric import Fabric
from lightning_fabric.plugins.environments.lightning import LightningEnvironment
from lightning_fabric.strategies.ddp import DDPStrategy
from lightning_fabric.strategies.model_parallel import ModelParallelStrategy
from lightning_fabric.strategies.strategy import Strategy
from timm.layers import convert_sync_batchnorm
from torch import Tensor, nn
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor
from torch.nn import functional
from torch.nn.modules.batchnorm import _BatchNorm

from ssl_bench import processes
from ssl_bench.config import TrainingConfig
from ssl_bench.errors import UserError


def make_fabric(settings: TrainingConfig, trains: bool) -> Fabric:
    """Fabric for the devices asked for; for one, where nothing is trained.

    Raises: UserError if the job was started as another number of processes.
    """
    wanted, there = settings.devices * settings.nodes, processes.count()
    if wanted != there and trains:
        raise UserError(
            f"started as {there} processes, but training.devices={settings.devices} on "
            f"training.nodes={settings.nodes} makes {wanted}: make them agree"
        )
    several = trains and wanted > 1
    fabric = Fabric(
        accelerator=settings.accelerator,
        devices=settings.devices if several else 1,
        num_nodes=settings.nodes if several else 1,
        precision=settings.precision,
        strategy=_strategy(settings) if several else "auto",
        plugins=(processes.environment() if several else None) or LightningEnvironment(),
    )
    fabric.launch()
    return fabric


def _strategy(settings: TrainingConfig) -> Strategy:
    if settings.strategy == "ddp":
        return DDPStrategy(gradient_as_bucket_view=True)
    count = settings.devices * settings.nodes
    return ModelParallelStrategy(_shard, data_parallel_size=count, tensor_parallel_size=1)


def _shard(module: nn.Module, mesh: Any) -> nn.Module:
    """Every block's weights, and what is left, spread over the processes (FSDP2)."""
    mesh = mesh["data_parallel"]
    for part in module.modules():
        if isinstance(part, nn.ModuleList | nn.Sequential):
            for block in part.children():
                if any(True for _ in block.children()):
                    fully_shard(block, mesh=mesh)
    fully_shard(module, mesh=mesh)
    return module


def synchronise_norms(module: nn.Module, device: torch.device) -> None:
    """Let every batch norm see the images of all processes, in place.

    torch's own synchronised norm works on GPUs alone.
    """
    if device.type != "cpu":
        convert_sync_batchnorm(module)
        return
    for norm in module.modules():
        if isinstance(norm, _BatchNorm):
            norm.__class__ = CPUSyncBatchNorm


class CPUSyncBatchNorm(_BatchNorm):
    """Batch norm over the images of all processes, on a CPU. Every process has as many."""

    def forward(self, input: Tensor) -> Tensor:
        """Shapes: ``(B, C, ...)`` to the same."""
        made = self._normalised(input)
        for name in ("drop", "act"):  # timm's norms end in these
            made = getattr(self, name)(made) if hasattr(self, name) else made
        return made

    def _normalised(self, input: Tensor) -> Tensor:
        if not self.training and self.running_mean is not None:
            means, variances = self.running_mean, self.running_var
            return functional.batch_norm(input, means, variances, self.weight, self.bias, eps=self.eps)
        others = [dim for dim in range(input.dim()) if dim != 1]
        mean = processes.sum_of_all(input.mean(others)) / processes.count()
        shape = [1, -1, *[1] * (input.dim() - 2)]
        centred = input - mean.view(shape)
        variance = processes.sum_of_all(centred.square().mean(others)) / processes.count()
        if self.running_mean is not None:
            with torch.no_grad():
                self._remember(mean, variance, processes.count() * input.numel() // input.shape[1])
        made = centred * (variance + self.eps).rsqrt().view(shape)
        return made if self.weight is None else made * self.weight.view(shape) + self.bias.view(shape)

    def _remember(self, mean: Tensor, variance: Tensor, size: int) -> None:
        """Running statistics, the variance without bias."""
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        self.num_batches_tracked.add_(1)
        momentum = 1 / float(self.num_batches_tracked) if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean, momentum)
        self.running_var.lerp_(variance * size / max(size - 1, 1), momentum)


def whole(state: Any) -> Any:
    """A state with every tensor whole, where processes hold shares of it. All of them must ask, in the same order."""
    if isinstance(state, DTensor):
        return state.full_tensor()
    if isinstance(state, dict):
        return {key: whole(value) for key, value in state.items()}
    return [whole(value) for value in state] if isinstance(state, list) else state


def load_whole(module: nn.Module, state: dict[str, Tensor]) -> None:
    """Bring a module to a whole state, each process to its share of it.

    Raises: RuntimeError if a name is missing or unknown, or a shape does not fit.
    """
    own = module.state_dict()
    module.load_state_dict({name: like(value, own.get(name)) for name, value in state.items()})


def shared_out(state: dict[str, Any], optimizer: torch.optim.Optimizer) -> dict[str, Any]:
    """A whole state of an optimizer, what it keeps of each weight cut up as the weight is."""
    weights = [weight for group in optimizer.param_groups for weight in group["params"]]
    kept = {
        index: {
            name: like(value, weights[index]) if getattr(value, "shape", None) == weights[index].shape else value
            for name, value in of_weight.items()
        }
        for index, of_weight in state["state"].items()
    }
    return {**state, "state": kept}


def like(value: Tensor, model: Tensor | None) -> Tensor:
    """A whole tensor, cut up as another one is."""
    if not isinstance(model, DTensor):
        return value
    return distribute_tensor(value.to(model.device), model.device_mesh, model.placements)
