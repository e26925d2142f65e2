"""Meta-learning for any Keras model: one file an algorithm, one learner for all.

Axes in comments: M meta-batch, K support, Q query, P length of a state.
"""

from metagpt_tf.meta.adapted import AdaptedModel
from metagpt_tf.meta.alfa import ALFA
from metagpt_tf.meta.algorithm import Algorithm, get, registry
from metagpt_tf.meta.anil import ANIL
from metagpt_tf.meta.cavia import CAVIA
from metagpt_tf.meta.curve import AdaptationCurve, best_rate
from metagpt_tf.meta.fomaml import FOMAML
from metagpt_tf.meta.imaml import IMAML
from metagpt_tf.meta.inner_optimizers import InnerAdam, InnerMomentum, InnerOptimizer, InnerSGD
from metagpt_tf.meta.learner import MetaLearner
from metagpt_tf.meta.maml import MAML
from metagpt_tf.meta.maml_plus_plus import MAMLPlusPlus
from metagpt_tf.meta.meta_sgd import MetaSGD
from metagpt_tf.meta.reptile import Reptile

__all__ = [
    "ALFA",
    "ANIL",
    "CAVIA",
    "FOMAML",
    "IMAML",
    "MAML",
    "AdaptationCurve",
    "AdaptedModel",
    "Algorithm",
    "InnerAdam",
    "InnerMomentum",
    "InnerOptimizer",
    "InnerSGD",
    "MAMLPlusPlus",
    "MetaLearner",
    "MetaSGD",
    "Reptile",
    "best_rate",
    "get",
    "registry",
]
