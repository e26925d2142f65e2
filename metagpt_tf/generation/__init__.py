"""Generation: samplers, the one decode loop, beam search and streaming over a step function.

Knows nothing of models: whoever can write `step(tokens, position, cache) -> (logits, cache)` can generate.
"""

from metagpt_tf.generation.beam import Beam
from metagpt_tf.generation.decoding import Cache, Step, decode
from metagpt_tf.generation.forcing import OPEN, forced
from metagpt_tf.generation.guidance import guided
from metagpt_tf.generation.samplers import Greedy, MinP, Random, Sampler, TopK, TopP, get, registry
from metagpt_tf.generation.streaming import stream

__all__ = [
    "OPEN",
    "Beam",
    "Cache",
    "Greedy",
    "MinP",
    "Random",
    "Sampler",
    "Step",
    "TopK",
    "TopP",
    "decode",
    "forced",
    "get",
    "guided",
    "registry",
    "stream",
]
