import numpy as np
import pytest
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter, OpResolverType

from metagpt_tf.generation import Beam, Greedy, MinP, Random, TopK, TopP, decode

from .toy import IDS, Language

LANGUAGE, BATCH, LENGTH = Language(9, seed=6), 3, 10


class Exported(tf.Module):
    def __init__(self, sampler, **keywords):
        super().__init__()
        self.sampler, self.keywords = sampler, keywords

    @tf.function(input_signature=[tf.TensorSpec((BATCH, 9)), tf.TensorSpec((BATCH, LENGTH, 9))])
    def generate(self, bias, noise):
        keywords = dict(max_length=LENGTH, sampler=self.sampler, noise=noise, **self.keywords, **IDS)
        return {"output": decode(LANGUAGE.step, LANGUAGE.cache(bias), BATCH, **keywords)}


@pytest.mark.parametrize(
    "sampler, keywords",
    [
        (Greedy(), {}),
        (Greedy(repetition_penalty=1.5), {"stop_sequences": [[4, 4], [8]]}),
        (Random(0.8), {}),
        (TopK(3), {}),
        (TopP(0.7), {}),
        (MinP(0.2), {}),
        (Beam(3), {}),
    ],
    ids=["greedy", "greedy-penalty-stop", "random", "top_k", "top_p", "min_p", "beam"],
)
def test_converts_with_builtin_ops_and_gives_the_same_tokens(tmp_path, sampler, keywords):
    module = Exported(sampler, **keywords)
    tf.saved_model.save(module, str(tmp_path), signatures={"generate": module.generate})
    converter = tf.lite.TFLiteConverter.from_saved_model(str(tmp_path), signature_keys=["generate"])
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
    content, rng = converter.convert(), np.random.default_rng(7)
    for resolver in (OpResolverType.AUTO, OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES):
        interpreter = Interpreter(model_content=content, experimental_op_resolver_type=resolver)
        runner = interpreter.get_signature_runner("generate")
        for _ in range(3):
            bias = rng.normal(size=(BATCH, 9)).astype("float32")
            noise = rng.gumbel(size=(BATCH, LENGTH, 9)).astype("float32")
            tokens = runner(bias=bias, noise=noise)["output"]
            np.testing.assert_array_equal(tokens, module.generate(bias, noise)["output"])
