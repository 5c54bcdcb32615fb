"""Resume at the end of an epoch with the row order of an uninterrupted run.

There verl saves a data loader that is used up. V1 resumes from it correctly.
"""

import functools
from pathlib import Path
from typing import Any

from trainyard_node.hooks import shape


def is_boundary(step: int, steps_per_epoch: int) -> bool:
    """Whether `step` was the last of an epoch."""
    return step > 0 and steps_per_epoch > 0 and step % steps_per_epoch == 0


def attach_to_former(trainer: Any) -> None:
    """Patch the former RL trainer, which ignores the saved state at the end of an epoch and so
    forgets its shuffle: each later epoch would repeat the first one's order. Raises Different."""
    shape.check(trainer._load_checkpoint, ("self",), ("resume_from_path", "train_dataloader"))
    original = trainer._load_checkpoint

    @functools.wraps(original)
    def load_checkpoint(self: Any) -> Any:
        done = original(self)
        if is_boundary(self.global_steps, len(self.train_dataloader)):
            _use_up(self.train_dataloader, _state_file(self))
        return done

    trainer._load_checkpoint = load_checkpoint


def _state_file(trainer: Any) -> Path:
    settings = trainer.config.trainer
    folder = settings.default_local_dir
    if settings.resume_mode == "resume_path":
        return Path(settings.resume_from_path, "data.pt")
    return Path(folder, f"global_step_{trainer.global_steps}", "data.pt")


def _use_up(loader: Any, saved: Path) -> None:
    """Move `loader` to the end of the epoch whose state is in `saved`."""
    import torch

    if saved.exists():
        loader.load_state_dict(torch.load(saved, weights_only=False))
        next(iter(loader), None)


def attach_to_sft(trainer: Any) -> None:
    """Patch the SFT trainer, which finds the next epoch empty and skips it. Raises Different."""
    shape.check(trainer._build_dataloader, ("self",), ("train_dataloader", "train_sampler"))
    shape.check(trainer.fit, ("self",), ("resume_global_step", "steps_per_epoch"))
    original = trainer.fit

    @functools.wraps(original)
    def fit(self: Any) -> Any:
        if is_boundary(self.resume_global_step, self.steps_per_epoch):
            self._build_dataloader()
            self.ckpt_handler.train_dataloader = self.train_dataloader
        return original(self)

    trainer.fit = fit
