"""A small development server that speaks TF Serving's protocol, for laptops and tests; production runs TF Serving."""

from metagpt_tf.serving.predicting import Predictor, RequestError
from metagpt_tf.serving.versions import ModelVersions

__all__ = ["ModelVersions", "Predictor", "RequestError"]
