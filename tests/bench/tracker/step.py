"""One optimizer step, or one pass without gradient, as verl 0.9's FSDP engine runs it."""

import functools
import time
from typing import Any

import torch
import torch.distributed as dist
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FullyShardedDataParallel as Fsdp1
from torch.distributed.fsdp import MixedPrecision, MixedPrecisionPolicy, fully_shard
from torch.distributed.fsdp.wrap import (
    _or_policy,
    lambda_auto_wrap_policy,
    transformer_auto_wrap_policy,
)
from torch.testing._internal.distributed.fake_pg import FakeStore
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForTokenClassification
from verl.utils.ulysses import set_ulysses_sequence_parallel_group

from tests.bench.tracker.allocations import Allocations
from tests.bench.tracker.cells import Cell
from tests.bench.tracker.parts import Entropy, LogProb, adapt, use_attention


def measured(cell: Cell) -> dict[str, Any]:
    """The peak of the step in bytes, where it was, and what the weights and moments take."""
    began = time.monotonic()
    dist.init_process_group("fake", rank=0, world_size=cell.shards, store=FakeStore())
    try:
        mesh = _mesh(cell)  # its ranks are real numbers
        with FakeTensorMode(allow_non_fake_inputs=True):
            found = _traced(cell, mesh)
    finally:
        set_ulysses_sequence_parallel_group(None)
        dist.destroy_process_group()
    return {**found, "seconds": round(time.monotonic() - began, 2)}


def _mesh(cell: Cell) -> Any:
    if cell.sequence_parallel > 1:
        shape = (cell.shards // cell.sequence_parallel, cell.sequence_parallel)
        both = init_device_mesh("cpu", shape, mesh_dim_names=("dp", "sp"))
        set_ulysses_sequence_parallel_group(both["sp"].get_group())
    return init_device_mesh("cpu", (cell.shards,))


def _traced(cell: Cell, mesh: Any) -> dict[str, Any]:
    model = _sharded(_model(cell), cell, mesh)
    seen = Allocations()
    for parameter in model.parameters():
        seen.hold(parameter.data, "weights")
    weights = seen.now
    for buffer in model.buffers():
        seen.hold(buffer, "buffers")
    local = {one: _local(one) for one in model.parameters() if one.requires_grad}
    is_update = cell.task == "update"
    moments = {one: [torch.zeros_like(at) for _ in range(2)] for one, at in local.items()}
    for pair in moments.values():
        for one in pair if is_update else []:
            seen.hold(one, "moments")
    held = seen.now - weights
    with seen:
        if is_update:
            _passes(model, cell, seen)
        else:
            with torch.no_grad():
                _forward(model, cell, seen)
    if is_update:
        _optimize(local, moments, seen)
    return {
        "peak": seen.peak, "phase": seen.peak_phase, "operation": seen.peak_operation,
        "tags": {name: size for name, size in seen.at_peak.items() if size},
        "phases": seen.peaks, "weights": weights, "moments": held,
    }  # fmt: skip


def _model(cell: Cell) -> nn.Module:
    config = AutoConfig.for_model(**cell.config)
    config._attn_implementation = use_attention(cell.sequence_parallel)
    kind = AutoModelForCausalLM
    if cell.head == "value":
        kind = AutoModelForTokenClassification
        config.num_labels, config.classifier_dropout, config.hidden_dropout = 1, 0.0, 0.0
    model: nn.Module = kind.from_config(config, dtype=torch.float32)
    model.train(cell.task == "update")
    if cell.lora:
        adapt(model, cell.lora, cell.modules)
    if cell.checkpointing:
        model.gradient_checkpointing_enable({"use_reentrant": False})
    return model


def _sharded(model: Any, cell: Cell, mesh: Any) -> Any:
    if cell.strategy == "fsdp":
        return _fsdp1(model, cell)
    policy = MixedPrecisionPolicy(torch.bfloat16, torch.float32, cast_forward_inputs=True)
    settings = {"mesh": mesh, "mp_policy": policy}
    for layer in model.model.layers:
        fully_shard(layer, **settings)
    if not model.config.tie_word_embeddings:
        fully_shard(model.model.embed_tokens, **settings)
        if cell.head == "tokens":
            fully_shard(model.lm_head, **settings)
    fully_shard(model, **settings)
    return model


def _fsdp1(model: Any, cell: Cell) -> Any:
    layer = type(model.model.layers[0])
    policies = [functools.partial(transformer_auto_wrap_policy, transformer_layer_cls={layer})]
    if cell.lora:
        policies.insert(0, functools.partial(lambda_auto_wrap_policy, lambda_fn=_is_adapter))
    return Fsdp1(
        model,
        auto_wrap_policy=functools.partial(_or_policy, policies=policies),
        mixed_precision=MixedPrecision(torch.bfloat16, torch.float32, torch.float32),
        device_id=torch.device("cpu"),
        use_orig_params=False,
    )


def _is_adapter(module: nn.Module) -> bool:
    weight = getattr(module, "weight", None)
    return not list(module.children()) and weight is not None and weight.requires_grad


def _local(parameter: Any) -> torch.Tensor:
    found: torch.Tensor = getattr(parameter, "_local_tensor", parameter.data)
    return found


def _passes(model: Any, cell: Cell, seen: Allocations) -> None:
    for at in range(cell.micro_batches):
        is_last = at == cell.micro_batches - 1
        waits = not (is_last or cell.synced)
        if cell.strategy == "fsdp2":
            model.set_requires_gradient_sync(not waits)
        if waits and cell.strategy == "fsdp":
            with model.no_sync():
                _forward_and_backward(model, cell, seen)
        else:
            _forward_and_backward(model, cell, seen)


def _forward_and_backward(model: Any, cell: Cell, seen: Allocations) -> None:
    loss = _forward(model, cell, seen)
    seen.phase = "backward"
    loss.backward()


def _forward(model: Any, cell: Cell, seen: Allocations) -> torch.Tensor:
    seen.phase = "forward"
    tokens = -(-cell.tokens // cell.sequence_parallel)
    ids = torch.zeros(1, tokens, dtype=torch.int64)
    labels = torch.zeros(tokens, dtype=torch.int64)
    # No positions: looking for packed rows in them needs real values.
    output = model(input_ids=ids, attention_mask=None, use_cache=False)
    logits = output.logits.squeeze(0)
    if cell.head == "value":
        return logits.squeeze(-1).sum()
    if cell.temperature != 1:
        temperature = torch.ones(tokens, 1)
        logits = logits / temperature.clamp(min=1e-8).to(logits.dtype)
    entropy = Entropy.apply(logits) if cell.entropy else None
    found = -LogProb.apply(logits, labels, not cell.entropy)
    if cell.pairs:
        half = tokens // 2
        found = -nn.functional.logsigmoid(found[:half].sum() - found[half:].sum())
    loss = found.mean()
    return loss if entropy is None else loss - 0.001 * entropy.mean()


def _optimize(local: dict[Any, torch.Tensor], moments: dict[Any, Any], seen: Allocations) -> None:
    """AdamW on the local shards: DTensor's own propagation would be counted at global sizes."""
    stepped, states = [], []
    for parameter, shard in local.items():
        if parameter.grad is None or not shard.numel():
            continue
        one = nn.Parameter(shard)
        one.grad = getattr(parameter.grad, "_local_tensor", parameter.grad)
        stepped.append(one)
        states.append(moments[parameter])
    # torch takes foreach for itself where all parameters are on a GPU, DTensors among them.
    optimizer = torch.optim.AdamW(stepped, lr=1e-5, foreach=True)
    for one, (mean, square) in zip(stepped, states, strict=True):
        state = {"step": torch.tensor(1.0), "exp_avg": mean, "exp_avg_sq": square}
        optimizer.state[one] = state
    seen.phase = "optimizer"
    with seen:
        optimizer.step()
