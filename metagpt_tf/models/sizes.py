"""Named sizes of MetaGPT."""

from typing import Any

from metagpt_tf.presets import pretrained_names
from metagpt_tf.registry import closest

# Parameters with the byte vocabulary and low-rank adapters: nano 0.97 M, tiny 5.6 M, small 59 M, base 218 M.
SIZES: dict[str, dict[str, Any]] = {
    "nano": {"dim": 128, "num_heads": 4, "num_layers": 2, "hidden_dim": 512},
    "tiny": {"dim": 256, "num_heads": 4, "num_layers": 3, "hidden_dim": 1024},
    "small": {"dim": 512, "num_heads": 8, "num_layers": 8, "hidden_dim": 2048, "dropout": 0.1},
    "base": {"dim": 768, "num_heads": 12, "num_layers": 12, "hidden_dim": 3584, "dropout": 0.1},
}


def size_config(name: str) -> dict[str, Any]:
    """Constructor arguments of the size `name`.

    Raises:
        ValueError: neither a size nor a preset; the message suggests the closest one.
    """
    if name not in SIZES:
        names = [*SIZES, *pretrained_names()]
        raise ValueError(
            f"Unknown preset {name!r}. {closest(name, names)} A directory written by save_to_preset also does."
        )
    return dict(SIZES[name])
