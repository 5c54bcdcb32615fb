"""A model as verl 0.9.1's FSDP engine holds and steps it, on one card, without verl.

Each part follows ``verl/workers/engine/fsdp/transformer_impl.py`` and ``verl/utils/fsdp_utils.py``:
float32 weights, each decoder layer a unit of FSDP2, embedding and head too where they are not tied,
bf16 computation, float32 reduction, non-reentrant checkpointing, logits of all tokens, clipped
gradients, AdamW.
"""

import os
from contextlib import nullcontext
from typing import Any

import torch
import torch.distributed as dist
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard
from torch.distributed.tensor import DTensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from transformers import AutoConfig, AutoModelForCausalLM
from transformers.utils import is_flash_attn_2_available

from tests.bench.card.cells import Cell
from tests.bench.card.losses import Losses
from tests.bench.card.watch import Watch

CLIPPED_AT = 1.0


def join_alone(device: str) -> None:
    """A process group of this process, which reaches for no network."""
    os.environ.setdefault("NCCL_SOCKET_IFNAME", "lo")
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    if device == "cuda":
        torch.cuda.set_device(0)
    backend = "nccl" if device == "cuda" else "gloo"
    dist.init_process_group(backend, store=dist.HashStore(), rank=0, world_size=1)


def attention_of(device: str) -> str:
    """The name that transformers has for the attention."""
    return "flash_attention_2" if device == "cuda" and is_flash_attn_2_available() else "sdpa"


class Trainer:
    """The model and its optimizer. ``step`` is one optimizer step, ``score`` the pass that verl
    makes for log-probabilities and entropies, without gradient."""

    def __init__(self, cell: Cell, device: str, losses: Losses) -> None:
        self.cell, self.device, self.losses = cell, device, losses
        self.model = _sharded(_model(cell, device), device)
        self.optimizer = torch.optim.AdamW(
            self.model.parameters(), lr=1e-6, weight_decay=0.01, betas=(0.9, 0.999)
        )
        vocab = cell.config["vocab_size"]
        shape = (cell.rows, cell.length)
        self.ids = torch.randint(0, vocab, shape, device=device)
        self.labels = torch.roll(self.ids, -1, dims=1).flatten()

    def step(self, watch: Watch) -> None:
        self.model.train()
        self.optimizer.zero_grad()
        count = self.cell.micro_batches
        for at in range(count):
            is_synced = self.cell.synced or at == count - 1
            self.model.set_requires_gradient_sync(is_synced)
            with watch.phase("forward"):
                loss = self._loss()
            with watch.phase("backward"):
                loss.backward()
            del loss
        with watch.phase("optimizer"):
            self._stepped()

    def score(self, watch: Watch) -> None:
        """Gradients are gone by then, as verl drops them after an update."""
        self.optimizer.zero_grad()
        self.model.eval()
        with watch.phase("log_prob"), torch.no_grad(), self._autocast():
            logits = self._logits()
            self.losses.entropy(logits)
            self.losses.log_probs(logits, self.labels)

    def _loss(self) -> Any:
        with self._autocast():
            log_probs = self.losses.log_probs(self._logits(), self.labels)
            loss = -log_probs.sum() / (self.labels.numel() * self.cell.micro_batches)
        loss.item()  # verl reads each loss, and so waits for the card here
        return loss

    def _logits(self) -> torch.Tensor:
        """Rows of equal length side by side: what packed rows cost, and no kernel for packed rows
        is needed."""
        with _flash(self.device, self.model.config):
            logits = self.model(input_ids=self.ids, use_cache=False).logits
        return logits.flatten(0, 1)

    def _autocast(self) -> Any:
        return torch.autocast(self.device, dtype=torch.bfloat16)

    def _stepped(self) -> None:
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), CLIPPED_AT)
        norm = norm.full_tensor() if isinstance(norm, DTensor) else norm
        if not torch.isfinite(norm):
            raise ArithmeticError(f"The norm of the gradients is {norm.item()}.")
        self.optimizer.step()


def _flash(device: str, config: Any) -> Any:
    if device == "cuda" and config._attn_implementation == "sdpa":
        return sdpa_kernel(SDPBackend.FLASH_ATTENTION)
    return nullcontext()


def _model(cell: Cell, device: str) -> Any:
    """Random weights; the values do not matter for memory, and not for time either."""
    told = {name: value for name, value in cell.config.items() if name != "model_type"}
    config = AutoConfig.for_model(cell.config["model_type"], **told)
    with torch.device(device):
        model = AutoModelForCausalLM.from_config(
            config, dtype=torch.float32, attn_implementation=attention_of(device)
        )
    if cell.checkpointing:
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    return model


def _sharded(model: Any, device: str) -> Any:
    """verl's ``apply_fsdp2`` and ``_select_fsdp2_wrap_targets``."""
    options = {
        "mesh": init_device_mesh(device, (1,), mesh_dim_names=("fsdp",)),
        "mp_policy": MixedPrecisionPolicy(
            param_dtype=torch.bfloat16, reduce_dtype=torch.float32, cast_forward_inputs=True
        ),
        "reshard_after_forward": True,
    }
    units = set(model._no_split_modules)
    ends = set() if model.config.tie_word_embeddings else {"embed_tokens", "lm_head"}
    chosen = [
        module
        for name, module in model.named_modules()
        if type(module).__name__ in units or name.rsplit(".", 1)[-1] in ends
    ]
    for module in chosen:
        fully_shard(module, **options)
    return fully_shard(model, **options)
