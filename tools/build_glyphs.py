"""Render the letters and digits of free font families to `metagpt_tf/datasets/assets/glyphs.npz`.

A tool for maintainers; the library needs neither the fonts nor Pillow. The asset in the repository was made on
Debian 12 by

    apt-get download $(apt-cache search --names-only '^fonts-' | cut -d' ' -f1)   # those of 10 kB to 1.1 MB
    for d in *.deb; do dpkg-deb -x $d fonts/$(basename $d | cut -d_ -f1); done
    pip install pillow fonttools
    python tools/build_glyphs.py fonts metagpt_tf/datasets/assets/glyphs.npz

Only fonts under the SIL Open Font License are taken: by the font's own licence entry, or where that is empty by the
package's `Files: *`. The same fonts give the same file, byte for byte.
"""

import argparse
import json
import re
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from fontTools.ttLib import TTFont, TTLibError
from PIL import Image, ImageDraw, ImageFont

CHARACTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
SIDE, INNER = 28, 26  # an image, and the square in it that all characters of a style fit into
DRAWN = 200  # font size before scaling down
LEVELS = 16
STYLES = 3  # of a family at most
LEAST_HEIGHT = 8  # pixels of the middle character: one with a great swash would make all others specks
LEAST_DIFFERENT = 36  # characters of a style: capitals may serve as small letters
ALIKE = 0.5  # levels a pixel, in the mean: less is the same style under another name
FREE = re.compile(r"SIL|OFL|Open Font Licen[cs]e", re.IGNORECASE)
COPYRIGHT, FAMILY, STYLE, LICENCE, LICENCE_URL, FAMILY_OF_MANY, STYLE_OF_MANY = 0, 1, 2, 13, 14, 16, 17


class Style(NamedTuple):
    """A font that is free and draws every character."""

    family: str
    style: str
    package: str
    copyright: str
    path: Path


def style_of(path: Path, package: Path) -> Style | None:
    """What a font says of itself; None if it is not free, or lacks a character."""
    try:
        font = TTFont(path, lazy=True)
        known, names = font.getBestCmap() or {}, font["name"]
    except (TTLibError, KeyError, AssertionError):
        return None
    if not all(ord(character) in known for character in CHARACTERS):
        return None
    licence = f"{names.getDebugName(LICENCE) or ''} {names.getDebugName(LICENCE_URL) or ''}".strip()
    if not (FREE.search(licence) if licence else package_is_free(package)):
        return None
    family = names.getDebugName(FAMILY_OF_MANY) or names.getDebugName(FAMILY)
    style = names.getDebugName(STYLE_OF_MANY) or names.getDebugName(STYLE) or "Regular"
    if not family:
        return None
    return Style(
        " ".join(family.split()), style, package.name, " ".join((names.getDebugName(COPYRIGHT) or "").split()), path
    )


def package_is_free(package: Path) -> bool:
    """Whether the stanza for all files of a Debian package names the licence."""
    for file in package.glob("usr/share/doc/*/copyright"):
        for stanza in re.split(r"\n\s*\n", file.read_text(errors="replace")):
            if re.search(r"^Files:\s*\*\s*$", stanza, re.MULTILINE):
                return bool(re.search(r"^License:.*(OFL|SIL)", stanza, re.MULTILINE))
    return False


def draw(path: Path) -> np.ndarray | None:
    """`(62, 28, 28)` uint8 below 16: one scale and one base line for a style; None if it draws too little."""
    font = ImageFont.truetype(str(path), DRAWN)
    boxes = [font.getbbox(character, anchor="ls") for character in CHARACTERS]
    top, bottom = min(box[1] for box in boxes), max(box[3] for box in boxes)
    widest = max(box[2] - box[0] for box in boxes)
    if min(box[2] - box[0] for box in boxes) <= 0 or bottom <= top:
        return None
    side = max(widest, bottom - top) * SIDE / INNER
    if np.median([box[3] - box[1] for box in boxes]) * SIDE / side < LEAST_HEIGHT:
        return None
    images = np.stack(
        [
            _image(font, character, box, (top + bottom) / 2, side)
            for character, box in zip(CHARACTERS, boxes, strict=True)
        ]
    )
    different = len({image.tobytes() for image in images})
    return images if different >= LEAST_DIFFERENT and images.max(axis=(1, 2)).min() > LEVELS // 2 else None


def _image(font: ImageFont.FreeTypeFont, character: str, box: tuple, middle: float, side: float) -> np.ndarray:
    big = Image.new("L", (round(side), round(side)))
    place = (side / 2 - (box[0] + box[2]) / 2, side / 2 - middle)
    ImageDraw.Draw(big).text(place, character, fill=255, font=font, anchor="ls")
    return np.asarray(big.resize((SIDE, SIDE), Image.Resampling.BOX)).astype("uint16") * LEVELS // 256


def order(style: Style) -> tuple:
    """Plain styles first, then bold, then slanted ones."""
    name = style.style.lower()
    plain = name in ("regular", "book", "normal", "roman", "medium")
    return (
        style.family,
        not plain,
        "italic" in name or "oblique" in name,
        "bold" not in name,
        len(name),
        name,
        str(style.path),
    )


def build(folder: Path) -> dict[str, Any]:
    """The arrays of the asset; see `metagpt_tf.datasets.glyphs`."""
    found = [
        style
        for package in sorted(folder.iterdir())
        for path in sorted({*package.rglob("*.ttf"), *package.rglob("*.otf")})
        if not path.is_symlink() and (style := style_of(path, package))
    ]
    kept: list[tuple[Style, np.ndarray]] = []
    for style in sorted(found, key=order):
        if sum(other.family == style.family for other, _ in kept) >= STYLES:
            continue
        images = draw(style.path)
        if images is not None and all(np.abs(images - other.astype("int16")).mean() >= ALIKE for _, other in kept):
            kept.append((style, images))
    about = [{"family": s.family, "style": s.style, "package": s.package, "copyright": s.copyright} for s, _ in kept]
    images = np.stack([images for _, images in kept]).astype("uint8").reshape(len(kept), len(CHARACTERS), -1)
    return {
        "about": np.frombuffer(json.dumps(about, ensure_ascii=False).encode(), "uint8"),
        "nibbles": images[..., ::2] << 4 | images[..., 1::2],
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("fonts", type=Path, help="folder with a folder for each unpacked package")
    parser.add_argument("output", type=Path, help="file to write")
    arguments = parser.parse_args()
    np.savez_compressed(arguments.output, **build(arguments.fonts))
