"""The Ray actor that holds the model and answers `generate` in batches."""

import asyncio
from collections.abc import Mapping
from typing import Any

import torch
from verl.workers.rollout.replica import TokenOutput

from trainyard_node.rollout.choice import Request, end_tokens
from trainyard_node.rollout.experts import packed
from trainyard_node.rollout.parameters import Limits, Seeds, build_request
from trainyard_node.rollout.sampling import Answer, generate

# Agent loops send requests one by one; a short wait collects them into one batch.
GATHER_SECONDS = 0.02


class HFServer:
    """One model on this process's CPU threads (OMP_NUM_THREADS)."""

    def __init__(
        self,
        path: str,
        dtype: str,
        limits: Limits,
        batch: int,
        seed: int,
        trust: bool,
        ignore_eos: bool = False,
    ) -> None:
        from transformers import AutoModelForCausalLM, AutoTokenizer

        self._model = AutoModelForCausalLM.from_pretrained(
            path, dtype=getattr(torch, dtype), trust_remote_code=trust
        ).eval()
        tokenizer = AutoTokenizer.from_pretrained(path, trust_remote_code=trust)
        self._stop = end_tokens(tokenizer, self._model.generation_config)
        self._usual = {"ignore_eos": ignore_eos}  # where a request does not say
        self._pad = tokenizer.pad_token_id or 0
        self._limits, self._batch, self._seeds = limits, batch, Seeds(seed)
        self._version: int | None = None
        self._waiting: list[tuple[Request, asyncio.Future[Answer]]] = []
        self._worker: asyncio.Task[None] | None = None
        self._open = asyncio.Event()
        self._open.set()
        self._model_lock = asyncio.Lock()
        self._reject = False

    async def generate(
        self,
        request_id: str,
        prompt_ids: list[int],
        sampling_params: dict[str, Any],
        image_data: Any = None,
        video_data: Any = None,
        **ignored: Any,
    ) -> TokenOutput:
        """Answer one prompt. Raises ValueError for images and for unsupported parameters."""
        if image_data or video_data:
            raise ValueError("the hf rollout reads text only")
        if self._reject:
            raise RuntimeError("this rollout server is leaving")
        prompt = tuple(int(token) for token in prompt_ids)
        seed = self._seeds.next(prompt, self._version)
        parameters = {**self._usual, **sampling_params}
        request = build_request(prompt, parameters, self._limits, self._stop, seed)
        answer = await self._answer_to(request)
        return TokenOutput(
            token_ids=answer.token_ids,
            log_probs=answer.log_probs,
            stop_reason="completed" if answer.ended else "length",
            extra_fields={"global_steps": self._version},
        )

    async def load_weights(self, weights: Mapping[str, torch.Tensor], version: int | None) -> None:
        """Replace the weights between two batches. Raises RuntimeError if names do not match."""
        async with self._model_lock:
            whole = packed(weights, self._model.state_dict())
            missing, surplus = self._model.load_state_dict(whole, strict=False)
            if surplus:
                raise RuntimeError(f"weights that the rollout's model does not have: {surplus[:5]}")
            self._refuse_gaps(missing)
            self._version = version
            self._seeds.forget()

    async def abort_all_requests(self, reject_request: bool = False) -> None:
        """Hold generation: the current batch ends, later requests wait (or are refused)."""
        self._open.clear()
        self._reject = reject_request
        async with self._model_lock:
            pass

    async def resume_generation(self) -> None:
        """Resume after `abort_all_requests`."""
        self._reject = False
        self._open.set()

    async def nothing(self, **ignored: Any) -> None:
        """Do nothing: a CPU does not release and retake memory, and no cache outlives a request."""

    wake_up = sleep = clear_kv_cache = release_kv_cache = resume_kv_cache = nothing
    start_profile = stop_profile = nothing

    def _refuse_gaps(self, missing: list[str]) -> None:
        tied = set(getattr(self._model, "all_tied_weights_keys", None) or ())
        gaps = [name for name in missing if name not in tied]
        if gaps:
            raise RuntimeError(f"weights that the rollout was not sent: {gaps[:5]}")

    async def _answer_to(self, request: Request) -> Answer:
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting.append((request, future))
        if self._worker is None or self._worker.done():
            self._worker = asyncio.create_task(self._work())
        return await future

    async def _work(self) -> None:
        while self._waiting:
            await asyncio.sleep(GATHER_SECONDS)
            await self._open.wait()
            async with self._model_lock:
                batch = self._waiting[: self._batch]
                del self._waiting[: self._batch]
                await self._answer_batch(batch)

    async def _answer_batch(self, batch: list[tuple[Request, asyncio.Future[Answer]]]) -> None:
        requests = [request for request, _ in batch]
        try:
            answers = await asyncio.to_thread(generate, self._model, requests, self._pad)
        except Exception as error:
            for _, future in batch:
                if not future.done():  # a cancelled request must not fail the others
                    future.set_exception(error)
            return
        for (_, future), answer in zip(batch, answers, strict=True):
            if not future.done():
                future.set_result(answer)
