"""The parts of verl's model engine that this trainer uses."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar, cast

import torch
import torch.distributed
from verl.utils import tensordict_utils
from verl.utils.config import omega_conf_to_dataclass
from verl.utils.tensordict_utils import NonTensorData
from verl.workers.engine_workers import TrainingWorker, TrainingWorkerConfig

from trainyard_node.dpo.data import Batch
from trainyard_node.dpo.order import Share
from trainyard_node.dpo.refused import Refused
from trainyard_node.dpo.sequences import answers_of

Metrics = dict[str, float]
Result = TypeVar("Result")


class Engine:
    """A `TrainingWorker` for rows that come in pairs. It is built in two steps: the constructor
    finds the number of ranks, and `start` loads the model."""

    def __init__(self, config: Any, loss: Callable[..., Any]) -> None:
        self._data = config.data
        self.model = omega_conf_to_dataclass(config.model)
        self._optimizer = omega_conf_to_dataclass(config.optim)
        self._worker = TrainingWorker(
            config=TrainingWorkerConfig(
                model_type="language_model",
                model_config=self.model,
                engine_config=omega_conf_to_dataclass(config.engine),
                optimizer_config=self._optimizer,
                checkpoint_config=omega_conf_to_dataclass(config.checkpoint),
                profiler_config=omega_conf_to_dataclass(config.profiler),
            )
        )
        self._worker.set_loss_fn(loss)
        self.verl = self._worker.engine

    @property
    def share(self) -> Share:
        return Share(self.verl.get_data_parallel_rank(), self.verl.get_data_parallel_size())

    @property
    def tokenizer(self) -> Any:
        """The model's tokenizer, with the chat template for the rows. Raises Refused."""
        tokenizer = self.model.tokenizer
        if self.model.custom_chat_template:
            # verl sets it only on the model's processor, if there is one.
            tokenizer.chat_template = self.model.custom_chat_template
        if not tokenizer.chat_template:
            raise Refused("the tokenizer has no chat template: set model.custom_chat_template")
        return tokenizer

    def start(self, total_steps: int) -> None:
        """Load the model in its state before any training; the schedule covers `total_steps`."""
        self._optimizer.total_training_steps = total_steps
        self._worker.reset()

    def train(self, batch: Batch, reference: torch.Tensor, pair_count: int) -> Metrics:
        """Make one optimizer step on the mean over `pair_count` pairs. The metrics are empty on
        ranks without outputs (all but the first of a sequence-parallel group)."""
        lengths = self._all_lengths(batch)
        data = self.prepared(batch, reference=reference, pair_count=pair_count)
        tensordict_utils.assign_non_tensor(
            data, update_lr_scheduler=True, global_token_num=NonTensorData(lengths)
        )
        found = self._metrics(self._worker.train_batch(data=data))
        return {**found, "global_tokens": float(sum(lengths))}

    @contextmanager
    def profiled(self, step: int, interval: Sequence[int]) -> Iterator[None]:
        """Run the training of `step` inside; start and stop verl's profiler as `interval` says."""
        if step == interval[0]:
            self._worker.start_profile()
        yield
        self._worker.step_profile()
        if step == interval[1]:
            self._worker.stop_profile()

    def validate(self, batch: Batch, reference: torch.Tensor, pair_count: int) -> Metrics:
        """This batch's part of the loss and of the metrics: means over `pair_count` pairs."""
        data = self.prepared(batch, reference=reference, pair_count=pair_count)
        return self._metrics(self._worker.infer_batch(data))

    def log_probs(self, batch: Batch, *, without_adapter: bool) -> torch.Tensor:
        """(rows,): the answers' log-probabilities under the current model, on the CPU."""
        data = self.prepared(batch)
        tensordict_utils.assign_non_tensor(
            data, compute_loss=False, no_lora_adapter=without_adapter
        )
        output = self._worker.infer_batch(data)
        if output is None:
            summed = torch.zeros(len(batch["weight"]))
        else:
            summed = answers_of(output["log_probs"], batch["loss_mask"]).log_prob
        return self._to_the_group(summed)

    def prepared(self, batch: Batch, **more: Any) -> Any:
        """The batch in the form of verl's engine. `more`: tensors (`reference`) or settings."""
        tensors = {name: batch[name] for name in ("input_ids", "position_ids", "loss_mask")}
        tensors["weight"] = batch["weight"]
        if "reference" in more:
            tensors["reference"] = more.pop("reference")
        return tensordict_utils.get_tensordict(
            tensor_dict=tensors, non_tensor_dict={**self._settings(), **more}
        )

    def check_fits(self, pair_tokens: int) -> None:
        """Raises Refused when a pair of so many tokens exceeds the limit of a micro batch."""
        sequence_ranks = self.verl.ulysses_sequence_parallel_size
        limit = self._data.max_token_len_per_gpu * sequence_ranks
        if self._data.use_dynamic_bsz and pair_tokens > limit:
            raise Refused(
                f"a pair has {pair_tokens} tokens and is never split, but a micro batch holds "
                f"{limit}: raise data.max_token_len_per_gpu to {-(-pair_tokens // sequence_ranks)}"
            )

    def summed(self, values: torch.Tensor) -> torch.Tensor:
        """The sum over the data-parallel ranks, on each rank."""
        return self._reduced(values, torch.distributed.ReduceOp.SUM)

    def total(self, value: int) -> int:
        """The sum of a number over the data-parallel ranks."""
        return int(self.summed(torch.tensor([value])).item())

    def most(self, value: int) -> int:
        """The largest value over the data-parallel ranks."""
        return int(self._reduced(torch.tensor([value]), torch.distributed.ReduceOp.MAX).item())

    def from_first_rank(self, ask: Callable[[], Result]) -> Result:
        """Call `ask` on rank 0 only, and return its result on every rank."""
        answer = [ask() if torch.distributed.get_rank() == 0 else None]
        torch.distributed.broadcast_object_list(answer, src=0)
        return cast("Result", answer[0])

    def _reduced(self, values: torch.Tensor, operation: Any) -> torch.Tensor:
        on_device = values.to(self._worker.device_name)
        group = self.verl.get_data_parallel_group()
        torch.distributed.all_reduce(on_device, op=operation, group=group)
        return on_device.cpu()

    def _to_the_group(self, values: torch.Tensor) -> torch.Tensor:
        """Send the outputs of rank 0 of a sequence-parallel group to the group's other ranks."""
        group = getattr(self.verl, "ulysses_parallel_group", None)
        if group is None:
            return values
        on_device = values.to(self._worker.device_name)
        torch.distributed.broadcast(on_device, group=group, group_src=0)
        return on_device.cpu()

    def _settings(self) -> dict[str, Any]:
        return {
            "use_remove_padding": self.model.use_remove_padding,
            "use_dynamic_bsz": self._data.use_dynamic_bsz,
            "max_token_len_per_gpu": self._data.max_token_len_per_gpu,
            # With a group size of 2, the engine counts micro batches in pairs.
            "micro_batch_size_per_gpu": self._data.micro_batch_size_per_gpu,
            "force_group_size": 2,
            "temperature": 1.0,
            "pad_mode": "no_padding",
            "pad_token_id": self.model.tokenizer.pad_token_id or 0,
        }

    def _metrics(self, output: Any) -> Metrics:
        if output is None:
            return {}
        found = tensordict_utils.get(output, "metrics")
        return {name: _sum(value) for name, value in found.items()}

    def _all_lengths(self, batch: Batch) -> list[int]:
        lengths = batch["input_ids"].offsets().diff().to(self._worker.device_name)
        ranks = self.share.ranks
        gathered = torch.empty(len(lengths) * ranks, dtype=lengths.dtype, device=lengths.device)
        group = self.verl.get_data_parallel_group()
        torch.distributed.all_gather_into_tensor(gathered, lengths, group=group)
        return [int(length) for length in gathered.tolist()]


def _sum(value: Any) -> float:
    """Sum a metric: a list over micro batches, or over ranks a list of lists."""
    if isinstance(value, (list, tuple)):
        return sum(_sum(part) for part in value)
    return float(value)
