"""Run verl's own merger of FSDP shards; what it would leave out is added or refused."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from accelerate import init_empty_weights
from verl.model_merger import fsdp_model_merger
from verl.model_merger.base_model_merger import ModelMergerConfig
from verl.model_merger.fsdp_model_merger import FSDPModelMerger

from trainyard_node.export.adapter import TIED, adapter_names, fold, plain, scale_of
from trainyard_node.export.check import check_adapter, check_result, check_state, tensor_names
from trainyard_node.export.place import check_space
from trainyard_node.export.refused import Refused
from trainyard_node.export.source import Source
from trainyard_node.export.told import Growth, Told

BYTES = 2  # of a number in bfloat16: verl's merger writes all weights in it


@dataclass(frozen=True)
class Choice:
    """`keep_adapter` leaves a LoRA adapter beside the weights instead of folding it into them;
    `trust` lets the model's own code run."""

    keep_adapter: bool = False
    trust: bool = False


@dataclass(frozen=True)
class Merged:
    """`tensors` in the weights; `adapter`: how many weights had an adapter folded into them, or how
    many tensors of it lie beside them."""

    tensors: int
    adapter: int
    rounded: int  # tensors that were more exact in the checkpoint


class Merger(FSDPModelMerger):
    """One merge of `source` into the folder `target`, which is there and empty."""

    def __init__(self, source: Source, target: Path, choice: Choice, told: Told) -> None:
        super().__init__(
            ModelMergerConfig(
                operation="merge",
                backend="fsdp",
                local_dir=str(source.folder),
                target_dir=str(target),
                hf_model_config_path=str(source.description),
                trust_remote_code=choice.trust,
            )
        )
        self._source, self._target, self._choice, self._told = source, target, choice, told
        self._adapter = self._rounded = 0

    def merge(self) -> Merged:
        """Raises Refused for a model that is not whole before or after it is written."""
        size = self._expected_size()
        check_space(self._target, size)
        self._told.plan(self._source.size, size)
        fsdp_model_merger.tqdm = self._counted
        self.merge_and_save()
        self._told.event("checking", "the merged model is read back")
        auto_class = self.get_transformers_auto_model_class()
        check_result(
            self._target,
            self._source.description,
            auto_class,
            trust_remote_code=self._choice.trust,
        )
        check_adapter(self._target, self._adapter if self._choice.keep_adapter else 0)
        return Merged(len(tensor_names(self._target)), self._adapter, self._rounded)

    def save_hf_model_and_tokenizer(self, state_dict: dict[str, Any]) -> None:
        """What verl's merger does with the merged tensors: check them first."""
        self._adapter = self._settle_adapter(state_dict)
        weights = {plain(name): state_dict[name] for name in state_dict if "lora_" not in name}
        check_state(weights, self._empty_model())
        self._told.event("merged", f"{len(weights)} tensors are merged, and written now")
        with Growth(self._target, self._told):
            super().save_hf_model_and_tokenizer(state_dict)

    def _settle_adapter(self, state: dict[str, Any]) -> int:
        names = adapter_names(state)
        if not names:
            return 0
        facts = self._source.adapter()
        if not self._choice.keep_adapter:
            of_head = any(".lm_head." in name for name in names)
            if of_head and getattr(self.model_config, "tie_word_embeddings", False):
                raise Refused(TIED)
            return fold(state, facts)
        scale_of(facts)
        return len(names)

    def _load_rank_zero_state_dict(self, world_size: int) -> Any:
        state = super()._load_rank_zero_state_dict(world_size)
        self._rounded = sum(tensor.dtype.itemsize > BYTES for tensor in state.values())
        return state

    def _empty_model(self) -> Any:
        with init_empty_weights():
            return self.get_transformers_auto_model_class().from_config(
                self.model_config, trust_remote_code=self._choice.trust
            )

    def _expected_size(self) -> int:
        """Bytes of the weights in bfloat16; tied weights count once."""
        numbers = sum(int(parameter.numel()) for parameter in self._empty_model().parameters())
        return numbers * BYTES

    def _counted(self, futures: list[Any], **_: Any) -> Iterator[Any]:
        """Tell of each loaded shard, in order; replaces the progress bar that verl draws."""
        for future, path in zip(futures, self._source.shards, strict=False):
            yield future
            self._told.read(path.stat().st_size)
