"""Meta-learning for any Keras model: one file an algorithm, one learner for all.

Axes in comments: M meta-batch, K support, Q query, P length of a state.
"""

from metagpt_tf.meta.adapted import AdaptedModel
from metagpt_tf.meta.alfa import ALFA
from metagpt_tf.meta.algorithm import Algorithm, get, registry
from metagpt_tf.meta.anil import ANIL
from metagpt_tf.meta.apart import Apart
from metagpt_tf.meta.cavia import CAVIA
from metagpt_tf.meta.curriculum import Curriculum
from metagpt_tf.meta.curve import AdaptationCurve, best_rate
from metagpt_tf.meta.diagnostics import MetaTensorBoard, gradient_norms
from metagpt_tf.meta.dynamic import Dynamic
from metagpt_tf.meta.fomaml import FOMAML
from metagpt_tf.meta.hierarchical import Hierarchical
from metagpt_tf.meta.imaml import IMAML
from metagpt_tf.meta.inner_optimizers import InnerAdam, InnerMomentum, InnerOptimizer, InnerSGD
from metagpt_tf.meta.learner import MetaLearner
from metagpt_tf.meta.maml import MAML
from metagpt_tf.meta.maml_plus_plus import MAMLPlusPlus
from metagpt_tf.meta.meta_sgd import MetaSGD
from metagpt_tf.meta.multi_task import MultiTask
from metagpt_tf.meta.proto_maml import ProtoMAML
from metagpt_tf.meta.prototypes import PrototypicalNetwork
from metagpt_tf.meta.reptile import Reptile
from metagpt_tf.meta.task_embedding import TaskEmbedding
from metagpt_tf.meta.workers import backup_and_restore

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
    "Apart",
    "Curriculum",
    "Dynamic",
    "Hierarchical",
    "InnerAdam",
    "InnerMomentum",
    "InnerOptimizer",
    "InnerSGD",
    "MAMLPlusPlus",
    "MetaLearner",
    "MetaSGD",
    "MetaTensorBoard",
    "MultiTask",
    "ProtoMAML",
    "PrototypicalNetwork",
    "Reptile",
    "TaskEmbedding",
    "backup_and_restore",
    "best_rate",
    "get",
    "gradient_norms",
    "registry",
]
