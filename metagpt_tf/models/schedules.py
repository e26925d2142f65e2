"""Learning-rate schedules for training Transformers."""

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable("metagpt_tf")
class InverseSquareRoot(keras.optimizers.schedules.LearningRateSchedule):
    """The original Transformer's schedule: linear warm-up, then the inverse square root of the step.

    `rate(t) = s · D^-0.5 · min(t^-0.5, t · W^-1.5)`, highest at `t = W`; step 0 counts as step 1. Use it for post-norm
    models, which need the warm-up.

    Args:
        dim: int, D, model width.
        warmup_steps: int, W; default 4000.
        scale: float, s; default 1.

    Call arguments:
        step: `()` int, t.

    Returns:
        `()` float32.

    Raises:
        ValueError: `dim` or `warmup_steps` below 1.

    Example:

    >>> rate = InverseSquareRoot(dim=512, warmup_steps=4000)
    >>> round(float(rate(4000)), 6)
    0.000699

    Reference: Vaswani et al., 2017, section 5.3.
    """

    def __init__(self, dim: int, warmup_steps: int = 4000, scale: float = 1.0) -> None:
        super().__init__()
        if dim < 1 or warmup_steps < 1:
            raise ValueError(f"dim and warmup_steps must be >= 1, received dim={dim}, warmup_steps={warmup_steps}.")
        self.dim, self.warmup_steps, self.scale = dim, warmup_steps, scale

    def __call__(self, step: Any) -> Any:
        step = ops.maximum(ops.cast(step, "float32"), 1.0)
        return self.scale * self.dim**-0.5 * ops.minimum(ops.rsqrt(step), step * self.warmup_steps**-1.5)

    def get_config(self) -> dict[str, Any]:
        return {"dim": self.dim, "warmup_steps": self.warmup_steps, "scale": self.scale}


def cosine_annealing(peak: float, total_steps: int, warmup_steps: int = 0, floor: float = 0.0) -> Any:
    """Linear warm-up to `peak`, then half a cosine down to `floor · peak`, as a Keras `CosineDecay`.

    `rate(t) = peak · t / W` for `t < W`, then `peak · (f + (1 − f) · (1 + cos(π · (t − W) / (N − W))) / 2)`. Use it
    when the number of steps is known beforehand.

    Args:
        peak: float, highest learning rate.
        total_steps: int, N, steps of warm-up and decay together.
        warmup_steps: int, W, steps of linear warm-up from 0; default 0.
        floor: float, f, share of the peak that remains; default 0.

    Returns:
        `keras.optimizers.schedules.CosineDecay`.

    Raises:
        ValueError: no steps are left to decay.

    Example:

    >>> round(float(cosine_annealing(1.0, total_steps=100)(50)), 3)
    0.5

    Reference: Loshchilov & Hutter, 2017, "SGDR: Stochastic Gradient Descent with Warm Restarts".
    """
    if not 0 <= warmup_steps < total_steps:
        raise ValueError(
            "Expected 0 <= warmup_steps < total_steps, "
            f"received warmup_steps={warmup_steps} and total_steps={total_steps}."
        )
    if not warmup_steps:
        return keras.optimizers.schedules.CosineDecay(peak, total_steps, alpha=floor)
    return keras.optimizers.schedules.CosineDecay(
        0.0, total_steps - warmup_steps, alpha=floor, warmup_target=peak, warmup_steps=warmup_steps
    )
