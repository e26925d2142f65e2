"""The model learns: copying and reversing strings it has never seen, exact to the last letter."""

import keras
import numpy as np
import pytest

from metagpt_tf.models import MetaGPT, cosine_annealing

LETTERS, LONGEST, BATCH, STEPS = list("abcdefgh"), 8, 64, 750
TASKS = {"copy": lambda text: text, "reverse": lambda text: text[::-1]}


def strings(count: int, seed: int) -> list[str]:
    """Random strings of 6 to 8 of 8 letters: 19 million of them, of which training sees 48,000."""
    rng = np.random.default_rng(seed)
    return ["".join(rng.choice(LETTERS, rng.integers(6, LONGEST + 1))) for _ in range(count)]


@pytest.mark.parametrize("task", ["reverse", pytest.param("copy", marks=pytest.mark.slow)])
def test_exact_match_on_new_strings(task: str):
    model = MetaGPT(source_length=LONGEST + 1, target_length=LONGEST + 1, dim=64, num_layers=2, hidden_dim=128)
    rate = cosine_annealing(3e-3, total_steps=STEPS, warmup_steps=100)
    model.compile(keras.optimizers.Adam(rate, beta_2=0.98, global_clipnorm=1.0), metrics=[])
    seen = strings(BATCH * STEPS, seed=0)
    pack = model.tokenizer.pack
    model.fit(pack(seen, LONGEST + 1), pack([*map(TASKS[task], seen)], LONGEST + 1), batch_size=BATCH, verbose=0)
    new = sorted(set(strings(400, seed=1)) - set(seen))
    assert len(new) > 300
    exact = np.mean([answer == TASKS[task](text) for answer, text in zip(model.generate(new), new, strict=True)])
    assert exact > 0.99
