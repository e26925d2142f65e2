"""Invented languages: are new sentences read right, to the last symbol, after K examples of a language never seen?

Judged is the share in % of greedy answers that match exactly, on held-out grammars. MAML and the plain twin begin
with the same plain training, which learns what every grammar shares, and cost as many gradient evaluations after it.
"""

from functools import cache, partial
from typing import Any

from paper_rows.base import TOGETHER, Experiment, Result

PRIMITIVES, SHOTS, QUERIES, TASKS = 3, 9, 9, 8
SOURCE, TARGET = 4, 5  # three words or four colours, and the end mark
STEPS, RATE, MULTIPLIERS = 3, 0.1, (0.1, 0.3, 1.0, 3.0, 10.0)
NESTED = 4  # the kind of sentence whose arguments are sentences
PEAK = 3e-3  # of Adam outside
FINE_TUNED = 10  # steps that the twin may also take
OUTER, READ, QUICK = 3000, 3000, 40  # steps of MAML, and of learning to read the support set
CONTEXT = 72  # tokens of the longest source with its support set in front
TESTED = 10  # meta-batches of 10 held-out grammars


def grammars(split: str = "meta_train") -> Any:
    """Sentences of at most three words: `u`, `u thrice`, `u surround v`, `u alternate v`."""
    from metagpt_tf.tasks import Grammars
    from metagpt_tf.tasks.grammar import Language
    from paper_rows.grammar_words import WholeWords

    tasks = Grammars(PRIMITIVES, WholeWords(), SOURCE, TARGET)
    short = tasks.language.kinds < NESTED
    tasks.language = Language(*(part[short] for part in tasks.language))
    return tasks.split(split)


def network(source_length: int = SOURCE) -> Any:
    from metagpt_tf.models import MetaGPT

    sizes = {"dim": 32, "num_heads": 4, "num_layers": 2, "low_rank": 0, "context_tokens": 0}
    return MetaGPT(grammars().tokenizer, source_length, TARGET, **sizes)


def episodes(tasks: Any, seed: int, first: int, steps: int) -> Any:
    """Meta-batches number `first`, `first + 1`, … of a seed."""
    return tasks.as_dataset(TASKS, SHOTS, QUERIES, seed=seed, num_batches=first + steps).skip(first)


def train_plainly(model: Any, tasks: Any, seed: int, steps: int, planned: int = 0) -> None:
    """The first `steps` of `planned` plain steps on pooled meta-batches, over which the rate rises and falls."""
    from metagpt_tf.applications.comparison import annealed_adam
    from metagpt_tf.tasks import pooled_examples

    model.compile(annealed_adam(PEAK, planned or steps), metrics=[], steps_per_execution=TOGETHER)
    model.fit(pooled_examples(episodes(tasks, seed, 0, steps)), shuffle=False, verbose=0)


def warm(iterations: int) -> int:
    """Plain steps before MAML, an eighth of its own."""
    return TOGETHER * max(1, iterations // (8 * TOGETHER))


def all_steps(iterations: int) -> int:
    """Plain steps of the twin: the warm-up, and as many gradient evaluations as so many outer steps of MAML.

    A task of MAML takes its inner steps and one gradient of the queries, one of a plain step both gradients once.
    """
    return warm(iterations) + round(iterations * (STEPS * SHOTS + QUERIES) / (SHOTS + QUERIES))


def by_maml(seed: int, iterations: int) -> Result:
    """Warm up plainly, meta-train with learned rates, judge before and after adapting."""
    import keras

    from metagpt_tf.applications.comparison import annealed_adam
    from metagpt_tf.meta import MAML, MetaLearner

    keras.utils.set_random_seed(seed)
    model = network()
    train_plainly(model, grammars(), seed, warm(iterations), all_steps(iterations))
    learner = MetaLearner(model, MAML(STEPS, RATE, learn_rate="per_tensor_per_step"))
    learner.compile(annealed_adam(PEAK, iterations), metrics=[], steps_per_execution=TOGETHER)
    learner.fit(episodes(grammars(), seed, warm(iterations), iterations), verbose=0)
    return {f"{SHOTS}/{steps}": matches(learner, grammars("meta_test"), steps) for steps in (0, STEPS)}


@cache  # two rows judge it
def twin(seed: int, iterations: int) -> Any:
    """The same network trained plainly at the cost of `by_maml`."""
    import keras

    keras.utils.set_random_seed(seed)
    model = network()
    train_plainly(model, grammars(), seed, all_steps(iterations))
    return model


def unadapted(seed: int, iterations: int) -> Result:
    """The plain twin, which has seen no example of the language."""
    return {f"{SHOTS}/0": matches(fixed(twin(seed, iterations), 1), grammars("meta_test"), 0)}


def by_fine_tuning(seed: int, iterations: int) -> Result:
    """The plain twin after steps on the support set, the rate of each count chosen on validation grammars."""
    from metagpt_tf.meta import AdaptationCurve, best_rate

    found = {}
    validation = grammars("meta_validation").as_dataset(10, SHOTS, QUERIES, seed=2, num_batches=2)
    for steps in (STEPS, FINE_TUNED):
        learner = fixed(twin(seed, iterations), steps)
        factor, _ = best_rate(AdaptationCurve(learner, (steps,)), validation, MULTIPLIERS)
        found[f"{SHOTS}/{steps}"] = matches(learner, grammars("meta_test"), steps, factor)
    return found


def in_context(seed: int, iterations: int) -> Result:
    """The support set written in front of each source: no step is taken, the model is trained to read it."""
    import keras

    from metagpt_tf.tasks.in_context_tokens import InContextTokens

    keras.utils.set_random_seed(seed)
    tasks, model = InContextTokens(grammars(), CONTEXT), network(CONTEXT)
    train_plainly(model, tasks, seed, iterations)
    return {f"{SHOTS}/0": matches(fixed(model, 1), tasks.split("meta_test"), 0)}


def fixed(model: Any, steps: int) -> Any:
    """A learner that fine-tunes all weights of a model at one rate."""
    from metagpt_tf.meta import MAML, MetaLearner

    learner = MetaLearner(model, MAML(steps, RATE))
    learner.compile("adam", metrics=[])
    return learner


def matches(learner: Any, tasks: Any, steps: int, factor: float = 1.0) -> float:
    """Per cent of the answers to held-out queries that are right to the last symbol, after `steps` on the support."""
    import keras
    import numpy as np
    import tensorflow as tf

    from metagpt_tf.tasks.grammar import exact_match

    model = learner.model
    adapt = tf.function(lambda x, y: learner.adapt_tensors(x, y, steps, factor), autograph=False)

    @partial(tf.function, autograph=False)
    def write(state: Any, x: Any) -> Any:
        with keras.StatelessScope(state_mapping=learner.layout.mapping(state)):
            return model.generate_ids(x, TARGET)

    answers, targets = [], []
    # The seed is one that was not looked at while the sizes above were chosen.
    held_out = tasks.as_dataset(10, SHOTS, QUERIES, seed=3, num_batches=TESTED)
    for support_x, support_y, query_x, query_y in held_out.unbatch():
        answers += [model.tokenizer.decode(row) for row in write(adapt(support_x, support_y), query_x).numpy()]
        targets += [model.tokenizer.decode(row) for row in np.asarray(query_y)]
    return 100.0 * exact_match(answers, targets)


COMMON = (
    f"exact match in % of greedy answers, {QUERIES} new sentences of each of {10 * TESTED} held-out grammars; 60,000 "
    f"weights; sentences of up to three words, {PRIMITIVES} colours and 3 functions to find out, where the paper "
    "also draws the rules and nests them, with larger models: it has no counterpart of this figure"
)


def row(name: str, run: Any, iterations: int, words: str) -> Experiment:
    return Experiment(f"grammar/{name}", run, iterations, QUICK, {}, f"{COMMON}; {words}")


EXPERIMENTS = [
    row("unadapted", unadapted, OUTER, "the plain twin, which sees no example of the language"),
    row("plain", by_fine_tuning, OUTER, "the plain twin fine-tuned on the support set, rate tuned on validation"),
    row("maml", by_maml, OUTER, f"second order, {STEPS} steps, learned rates, {warm(OUTER)} plain steps before"),
    row("in_context", in_context, READ, "the support set in the source, no steps, trained plainly"),
]
