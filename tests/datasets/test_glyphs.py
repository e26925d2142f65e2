"""The bundled glyphs: whole, readable, families on one side of a split."""

from metagpt_tf.datasets import load_glyphs
from metagpt_tf.datasets.glyphs import CHARACTERS, FIRST_WORD


def test_every_style_has_every_character():
    glyphs = load_glyphs()
    styles = len(glyphs.styles)
    assert glyphs.images.shape == (styles, 62, 28, 28) and glyphs.images.dtype == "uint8" and len(CHARACTERS) == 62
    assert len(set(glyphs.styles)) == styles and len(set(glyphs.families)) >= 100
    assert (glyphs.images.max(axis=(2, 3)) > 100).all() and not glyphs.images.flags.writeable
    assert all("(fonts-" in notice for notice in glyphs.notices)
    assert sum(len(notice) > 40 for notice in glyphs.notices) > 0.8 * styles


def test_characters_are_what_they_are_called():
    """On the whole an I is narrower than an M, an l taller than an o, and 1 and 8 are not alike."""
    ink = load_glyphs().images > 100
    width = ink.any(axis=2).sum(axis=-1)
    height = ink.any(axis=3).sum(axis=-1)
    place = {character: index for index, character in enumerate(CHARACTERS)}
    assert (width[:, place["I"]] < width[:, place["M"]]).mean() > 0.85
    assert (height[:, place["l"]] > height[:, place["o"]]).mean() > 0.85
    assert (ink[:, place["8"]].sum(axis=(1, 2)) > ink[:, place["1"]].sum(axis=(1, 2))).mean() > 0.9


def test_relatives_are_on_one_side():
    glyphs = load_glyphs()
    family = dict(zip(glyphs.styles, glyphs.families, strict=True))
    groups = [{FIRST_WORD.search(family[s]).group().lower() for s in styles} for styles in glyphs.splits.values()]
    assert sum(map(len, groups)) == len(set().union(*groups))
    assert sorted(style for styles in glyphs.splits.values() for style in styles) == sorted(glyphs.styles)
    assert all(len(styles) >= 20 for styles in glyphs.splits.values())
