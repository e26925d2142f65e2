"""A recipe that trains a toy in seconds."""

from metagpt_tf.applications.recipe import Recipe

TOY = Recipe(
    options={"dim": 8, "num_heads": 2, "num_layers": 1, "hidden_dim": 16},
    source_length=8,
    target_length=8,
    meta_batch_size=2,
    k_shot=2,
    n_query=2,
    warm_steps=4,
    meta_steps=4,
    inner_steps=1,
    judged_steps=2,
    parts=2,
)
