"""Hugging Face transformers: a T5 of equal dimensions with random weights, made from a config and never downloaded."""

from typing import Any

import torch
from transformers import T5Config, T5ForConditionalGeneration

from contestants.base import Contestant

PAD, BOS, EOS, VOCABULARY = 0, 1, 2, 259


class Transformers(Contestant):
    """`T5ForConditionalGeneration.generate` with its cache, greedy, ids in and ids out."""

    def __init__(self, settings: dict[str, Any]) -> None:
        super().__init__(settings)
        torch.set_num_threads(settings["cores"])
        torch.manual_seed(settings["seed"])
        vocabulary = settings.get("vocabulary", VOCABULARY)
        config = T5Config(
            vocab_size=vocabulary,
            d_model=settings["dim"],
            d_kv=settings["dim"] // settings["heads"],
            d_ff=settings["hidden"],
            num_layers=settings["layers"],
            num_decoder_layers=settings["layers"],
            num_heads=settings["heads"],
            feed_forward_proj="relu",
            tie_word_embeddings=True,
            pad_token_id=PAD,
            eos_token_id=EOS,
            decoder_start_token_id=BOS,
        )
        self.model = T5ForConditionalGeneration(config).eval()
        shape = (settings["batch"], settings["source"])
        self.source = torch.randint(EOS + 1, vocabulary, shape)
        self.mask = torch.ones_like(self.source)
        self.step()

    @torch.inference_mode()
    def step(self) -> None:
        self.ids = self.model.generate(
            input_ids=self.source,
            attention_mask=self.mask,
            use_cache=True,
            num_beams=1,
            do_sample=False,
            min_new_tokens=self.settings["tokens"],
            max_new_tokens=self.settings["tokens"],
        )[:, 1:]  # the start token is not generated

    def check(self) -> dict[str, Any]:
        return {"ids": self.ids.tolist(), "eos": int((self.ids == EOS).sum())}
