"""Render the letters of many scripts to `metagpt_tf/datasets/assets/alphabets.npz`.

A tool for maintainers; the library needs neither the fonts nor Pillow. The asset in the repository was made by

    apt-get download fonts-noto-core && dpkg-deb -x fonts-noto-core_*.deb noto
    pip install pillow fonttools
    python tools/build_alphabets.py noto/usr/share/fonts/truetype/noto metagpt_tf/datasets/assets/alphabets.npz

with fonts-noto-core 20201225-1 (SIL Open Font License 1.1). The same fonts give the same file, byte for byte.
"""

import argparse
import unicodedata
from collections import defaultdict
from pathlib import Path

import numpy as np
from fontTools import unicodedata as scripts_of
from fontTools.ttLib import TTFont
from PIL import Image, ImageDraw, ImageFont

SIDE, INNER = 28, 22  # an image, and the square in it that a letter fills
DRAWN = 160  # font size before scaling down
INK = 96  # of 255: what counts as a black pixel after scaling down
LEAST, MOST = 15, 64  # letters of a script; larger scripts are thinned out evenly
STYLES = 4  # drawings of a letter at most
WITHOUT_SCRIPT = {"Zyyy", "Zinh", "Zzzz"}


def letters(font: Path) -> dict[str, set[int]]:
    """Script -> code points of the letters that a font draws: no capitals beside small ones, nothing composed."""
    found: dict[str, set[int]] = defaultdict(set)
    known = TTFont(font, lazy=True).getBestCmap() or {}
    for code in known:
        letter = chr(code)
        plain = unicodedata.category(letter) in ("Lo", "Ll", "Lu") and not unicodedata.decomposition(letter)
        small = letter.lower()
        capital_of_known = small != letter and len(small) == 1 and ord(small) in known
        if plain and not capital_of_known:
            found[scripts_of.script(letter)].add(code)
    return found


def draw(font: ImageFont.FreeTypeFont, code: int) -> np.ndarray | None:
    """A letter as `(28, 28) bool`, scaled to fill the inner square; None where the font draws nothing."""
    left, top, right, bottom = font.getbbox(chr(code))
    if right <= left or bottom <= top:
        return None
    big = Image.new("L", (int(right - left) + 2, int(bottom - top) + 2))
    ImageDraw.Draw(big).text((1 - left, 1 - top), chr(code), fill=255, font=font)
    box = big.getbbox()
    if box is None:
        return None
    big = big.crop(box)
    scale = INNER / max(big.size)
    size = tuple(max(1, round(length * scale)) for length in big.size)
    image = Image.new("L", (SIDE, SIDE))
    image.paste(big.resize(size, Image.Resampling.BOX), ((SIDE - size[0]) // 2, (SIDE - size[1]) // 2))
    pixels = np.asarray(image) >= INK
    return pixels if pixels.any() else None


def order(font: Path) -> tuple:
    """Plain styles first: regular before bold and italic, sans before serif."""
    name = font.stem
    return ("Italic" in name or "Slanted" in name, "Bold" in name, "Sans" not in name, name)


def fonts_by_script(folder: Path) -> dict[str, list[tuple[Path, set[int]]]]:
    """Script -> the fonts that draw at least `LEAST` of its letters, plain styles first."""
    result: dict[str, list[tuple[Path, set[int]]]] = defaultdict(list)
    for font in sorted(folder.glob("*.ttf"), key=order):
        if "Display" in font.stem:  # the same letters as the text fonts, thinner
            continue
        for script, codes in letters(font).items():
            if len(codes) >= LEAST and script not in WITHOUT_SCRIPT:
                result[script].append((font, codes))
    return result


def render(fonts: list[tuple[Path, set[int]]]) -> dict[int, list[np.ndarray]]:
    """Code point -> drawings of it, each different, for the letters of one script."""
    first_codes = sorted(fonts[0][1])
    wanted = [first_codes[int(place)] for place in np.linspace(0, len(first_codes) - 1, min(MOST, len(first_codes)))]
    drawings: dict[int, list[np.ndarray]] = {}
    seen: set[bytes] = set()
    for font_file, codes in fonts[: STYLES * 2]:
        font = ImageFont.truetype(str(font_file), DRAWN)
        for code in wanted:
            image = draw(font, code) if code in codes and len(drawings.get(code, [])) < STYLES else None
            if image is not None and image.tobytes() not in seen:  # look-alikes would be two classes with one image
                seen.add(image.tobytes())
                if code in drawings or font_file == fonts[0][0]:
                    drawings.setdefault(code, []).append(image)
    return drawings


def build(folder: Path) -> dict[str, np.ndarray]:
    """The arrays of the asset; see `metagpt_tf.datasets.alphabets`."""
    names, scripts, codes, classes, images = [], [], [], [], []
    rendered = {scripts_of.script_name(s): render(fonts) for s, fonts in fonts_by_script(folder).items()}
    for name in sorted(name for name, drawings in rendered.items() if len(drawings) >= LEAST):
        for code, drawings in sorted(rendered[name].items()):
            classes += [len(codes)] * len(drawings)
            codes.append(code)
            scripts.append(len(names))
            images += drawings
        names.append(name)
    return {
        "names": np.array(names),
        "script": np.array(scripts, "uint8"),
        "code": np.array(codes, "int32"),
        "letter": np.array(classes, "uint16"),
        "bits": np.packbits(np.array(images).reshape(len(images), -1), axis=1),
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("fonts", type=Path, help="folder of .ttf files")
    parser.add_argument("output", type=Path, help="file to write")
    arguments = parser.parse_args()
    np.savez_compressed(arguments.output, **build(arguments.fonts))
