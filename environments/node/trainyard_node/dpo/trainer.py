"""A DPO run: load data, engine and reference, then train step by step."""

import time
from collections.abc import Iterator
from typing import Any

import torch.distributed
from omegaconf import OmegaConf
from verl.utils.checkpoint import CheckpointHandler
from verl.utils.tracking import Tracking

from trainyard_node.dpo import settings
from trainyard_node.dpo.data import Batch, PairDataset, batches
from trainyard_node.dpo.engine import Engine, Metrics
from trainyard_node.dpo.objective import PreferenceLoss
from trainyard_node.dpo.order import Order, Training, every_row
from trainyard_node.dpo.reference import Reference, reference_of
from trainyard_node.dpo.refused import Refused
from trainyard_node.hooks.ranks import SharedControl
from trainyard_node.hooks.sft_times import DATA, STEP, VALIDATION
from trainyard_node.hooks.startup import Startup
from trainyard_node.hooks.turn import SAVE_TIME

OURS = ("rewards/", "logps/")
# Named as in verl's SFT trainer.
UNDER_TRAIN = ("loss", "grad_norm", "lr", "mfu", "global_tokens")


class Trainer:
    """One run of the given configuration. The constructor loads everything, and resumes if there is
    a checkpoint; it raises Refused for settings or data that cannot be trained on."""

    def __init__(self, config: Any) -> None:
        self._config = config
        self._startup = Startup.of_first_rank()
        self._startup.done("processes")
        objective = settings.objective_of(config)
        settings.check_engine(config.engine)
        settings.check_data(config.data)
        self._engine = Engine(config, PreferenceLoss(objective))
        settings.check_batch(config.data, self._engine.share.ranks)
        self._train = self._dataset("train")
        self._validation = self._dataset("val") if config.data.val_files else None
        self._order = self._ordered(len(self._train))
        self.total_steps = self._total_steps()
        self._training = Training(self._order, self._engine.share, self.total_steps)
        self._engine.start(self.total_steps)
        self._startup.done("model")
        # Before the checkpoint: the reference is the model that the run began with.
        self._reference = self._reference_of("train", self._train)
        if self._validation is not None:
            self._val_reference = self._reference_of("val", self._validation)
        self._startup.done("reference")
        self._control = SharedControl.of_this_run()
        self._checkpoints = self._checkpoint_handler()
        self._training.next_step = self._resume()

    def fit(self) -> None:
        """Train to the last step, or until a pause is requested; validate, log and save."""
        self._say(f"Total training steps: {self.total_steps},")
        done = self._training.next_step
        if done >= self.total_steps:
            self._say(f"Nothing to do: the checkpoint is of step {done} of {self.total_steps}")
            return
        tracking, waited_from = self._tracking(), time.perf_counter()
        for step, batch in enumerate(self._batches(), done + 1):
            waited = time.perf_counter() - waited_from
            metrics = self._step(step, batch) | {DATA: waited}
            self._startup.done("update")
            self._training.next_step = step
            if self._validation is not None and self._is_due("test_freq", step):
                metrics |= self._validate(self._validation)
            if tracking is not None:
                tracking.log(data=metrics, step=step)
            if self._saved_and_paused(step, tracking):
                return
            waited_from = time.perf_counter()

    def _step(self, step: int, batch: Batch) -> Metrics:
        began = time.perf_counter()
        reference = self._reference.of(batch)
        with self._engine.profiled(step, self._config.trainer.profile_interval):
            found = self._engine.train(batch, reference, self._order.batch_size)
        metrics = {_train_name(name): value for name, value in found.items()}
        if self._config.data.truncation != "error":
            metrics["train/rows_cut"] = self._engine.total(int((batch["cut"] > 0).sum()))
        metrics["train/epoch"] = step / self._order.steps_per_epoch
        metrics[STEP] = time.perf_counter() - began
        return metrics

    def _validate(self, dataset: PairDataset) -> Metrics:
        """Means over all pairs of the validation data."""
        began = time.perf_counter()
        rows = len(dataset)
        slots = every_row(rows, self._order.batch_size, self._engine.share)
        metrics: Metrics = {}
        for batch in batches(dataset, slots, self._config.data.num_workers):
            found = self._engine.validate(batch, self._val_reference.of(batch), rows)
            for name, part in found.items():
                if name == "loss" or name.startswith(OURS):
                    metrics[f"val/{name}"] = metrics.get(f"val/{name}", 0.0) + part
        metrics[VALIDATION] = time.perf_counter() - began
        return metrics

    def _saved_and_paused(self, step: int, tracking: Tracking | None) -> bool:
        """Save when a save is due or requested. Return True if the run was asked to end here."""
        asked = self._control.look() if self._control else None
        if asked or self._is_due("save_freq", step):
            began = time.perf_counter()
            self._checkpoints.save_checkpoint(step=step)
            if tracking is not None:
                seconds = time.perf_counter() - began
                tracking.log(data={SAVE_TIME: seconds}, step=step)
        if self._control is None or asked is None:
            return False
        self._control.saved(asked)
        if asked == "save" or step == self.total_steps:
            return False
        self._control.paused(step)
        return True

    def _batches(self) -> Iterator[Batch]:
        return batches(self._train, self._training, self._config.data.num_workers)

    def _is_due(self, name: str, step: int) -> bool:
        every = settings.every(self._config.trainer[name], self._order.steps_per_epoch)
        return step == self.total_steps or (every > 0 and step % every == 0)

    def _dataset(self, split: str) -> PairDataset:
        data = self._config.data
        files = settings.files_of(data[f"{split}_files"])
        dataset = PairDataset(files, self._engine.tokenizer, data)
        dataset.keep(int(data.get(f"{split}_max_samples", -1)))
        if not len(dataset):
            raise Refused(f"data.{split}_files holds no rows: {', '.join(files)}")
        return dataset

    def _ordered(self, rows: int) -> Order:
        order = Order(rows, self._config.data.train_batch_size, int(self._config.trainer.seed))
        if order.steps_per_epoch == 0:
            raise Refused(
                f"the training data have {rows} pairs, fewer than one step takes: "
                f"data.train_batch_size={order.batch_size}"
            )
        return order

    def _total_steps(self) -> int:
        """`total_training_steps`, over as many epochs as needed; else the steps of all epochs."""
        steps = self._config.trainer.total_training_steps
        if steps is not None:
            return int(steps)
        return self._order.steps_per_epoch * int(self._config.trainer.total_epochs)

    def _reference_of(self, split: str, dataset: PairDataset) -> Reference:
        return reference_of(split, dataset, self._engine, self._config, self._say)

    def _checkpoint_handler(self) -> CheckpointHandler:
        trainer = self._config.trainer
        return CheckpointHandler(
            engine=self._engine.verl,
            train_dataloader=self._training,
            default_local_dir=trainer.default_local_dir,
            max_ckpt_to_keep=trainer.max_ckpt_to_keep,
            default_hdfs_dir=trainer.default_hdfs_dir,
            resume_mode=trainer.resume_mode,
            resume_from_path=trainer.resume_from_path,
            lora_train_meta=self._adapter_facts(),
        )

    def _adapter_facts(self) -> dict[str, Any] | None:
        """Facts about an adapter that verl's merger needs; None without an adapter."""
        model = self._config.model
        rank = int(model.get("lora_rank") or 0)
        if rank <= 0:
            return None
        alpha = int(model.get("lora_alpha") or 0)
        return {"r": rank, "lora_alpha": alpha, "task_type": "CAUSAL_LM"}

    def _resume(self) -> int:
        """Load the checkpoint, if any; return the number of steps that are done."""
        step = int(self._checkpoints.load_checkpoint())
        for warning in self._training.warnings:
            self._say(f"Warning: {warning}")
        return step

    def _tracking(self) -> Tracking | None:
        if torch.distributed.get_rank() != 0:
            return None
        trainer = self._config.trainer
        return Tracking(
            project_name=trainer.project_name,
            experiment_name=trainer.experiment_name,
            default_backend=trainer.logger,
            config=OmegaConf.to_container(self._config, resolve=True),
        )

    def _say(self, message: str) -> None:
        if torch.distributed.get_rank() == 0:
            print(message, flush=True)


def _train_name(name: str) -> str:
    return f"train/{name}" if name in UNDER_TRAIN or name.startswith(OURS) else name
