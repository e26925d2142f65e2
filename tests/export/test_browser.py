"""The page in headless Chromium: it learns in its tab, answers as Python does, and says what is wrong.

Needs Chromium and `pip install metagpt_tf[browser]`, and is skipped without them. Screenshots: `runs/screenshots/`.
"""

import json
import shutil
import time
from pathlib import Path

import numpy as np
import pytest

from metagpt_tf.applications.device_deployment import EXAMPLE, PROMPT
from metagpt_tf.applications.optimization import deploy_model
from metagpt_tf.datasets import functions_at
from metagpt_tf.export import LiteRTRunner, export_litert, parity_report
from metagpt_tf.export.browser import BrowserRunner, browser
from metagpt_tf.export.page_server import PageServer
from metagpt_tf.export.readers import Unreadable
from metagpt_tf.fast_weights import State
from metagpt_tf.models import MetaGPT
from metagpt_tf.tokenizers import ByteTokenizer

from .conftest import K, support
from .test_damaged_files import damaged

SHOTS = Path(__file__).parents[2] / "runs" / "screenshots"
PHONE = {"width": 360, "height": 740}
ERROR = "document.querySelector('#glyphs-message.error')"


@pytest.fixture(scope="module")
def chromium():
    try:
        with browser() as opened:
            yield opened
    except Unreadable as error:
        pytest.skip(f"the page is not tested: {error}")


class Tab:
    """A tab that has opened the page, and what happened in it."""

    def __init__(self, chromium, url, **options):
        self.context = chromium.new_context(**options)
        self.page = self.context.new_page()
        self.asked, self.wrong = [], []
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.on("pageerror", lambda error: self.wrong.append(str(error)))
        self.page.on("console", self._heard)
        self.page.goto(url)

    def _heard(self, message):
        if "Content Security Policy" in message.text:
            self.wrong.append(message.text)

    def until(self, script, seconds=60):
        """Wait; Playwright's own waiting evaluates strings, which the page's policy forbids."""
        began = time.monotonic()
        while not self.page.evaluate(script):
            if time.monotonic() - began > seconds:
                raise AssertionError(f"{script} is not: {self.page.inner_text('body')[:600]}")
            time.sleep(0.05)

    def ready(self, name="glyphs"):
        self.until(f"!document.querySelector('#panel-{name} .work').hidden")
        return self

    def learned(self):
        self.page.click("#glyphs-learn")
        self.until("document.body.dataset.drawn === 'after'")

    def shot(self, name):
        SHOTS.mkdir(parents=True, exist_ok=True)
        self.page.evaluate("window.scrollTo(0, 0)")
        self.page.screenshot(path=SHOTS / f"{name}.png", full_page=True)

    def pictures(self, kind):
        """Pixels of all canvases of a kind."""
        script = """(kind) => [...document.querySelectorAll(`.alphabet canvas.${kind}`)].map((one) =>
            [...one.getContext("2d").getImageData(0, 0, one.width, one.height).data].filter((_, i) => i % 4 === 0))"""
        return np.array(self.page.evaluate(script, kind)) / 255.0


@pytest.fixture
def server(page):
    with PageServer(page) as opened:
        yield opened


@pytest.fixture
def tab(chromium, server):
    opened = Tab(chromium, server.url)
    yield opened
    opened.context.close()


def test_it_learns_a_style_and_the_pictures_change(tab, server, drawn, codes, tmp_path):
    tab.ready().until("document.body.dataset.drawn === 'before'")
    before = tab.pictures("before")
    tab.learned()
    after = tab.pictures("after")
    assert after.shape == (62, 64) and np.abs(after - before).max() > 0.01
    tab.shot("letters")
    with tab.page.expect_download() as download:
        tab.page.click("#glyphs-save")
    download.value.save_as(tmp_path / "letters.npz")
    runner, data = LiteRTRunner(drawn), json.loads((drawn.parent / "data.json").read_text())
    state = runner.load_state(tmp_path / "letters.npz")
    assert State.load(tmp_path / "letters.npz").scope == "low_rank"
    # The same in Python: the letters that the page gave, what they taught, and one that it drew.
    glyphs = np.frombuffer((drawn.parent / "glyphs.bin").read_bytes(), np.uint8).reshape(-1, 62, 8, 8, 1)[0] / 255.0
    given = [data["characters"].index(c) for c in "AaGg"]
    sources = MetaGPT(tokenizer=_tokenizer(codes), source_length=16).tokenizer.pack(data["prompts"], 16)
    expected = runner.adapt(sources[given], runner.encode(glyphs[given].astype("float32")))
    np.testing.assert_allclose(state, expected, atol=1e-3)
    image, _ = runner.draw(runner.generate(sources[1:2], expected))
    np.testing.assert_allclose(after[1], 1 - image.ravel(), atol=1 / 255 + 1e-3)
    assert not tab.wrong
    assert all(url.startswith((server.url, "blob:")) for url in tab.asked)


def _tokenizer(codes):
    from metagpt_tf.tokenizers.image_codes import image_tokenizer

    return image_tokenizer(codes.num_codes)


def test_every_signature_equals_python(chromium, page, drawer, codes, drawn):
    del chromium  # skipped without it
    draw = np.random.default_rng(0)
    ids = 260 + draw.integers(0, 16, (4, 4))
    target = np.concatenate([ids, np.full((4, 1), 2)], axis=1).astype("int32")
    source = drawer.model.tokenizer.pack([f"letter {c}:" for c in "wxyz"], 16)
    options = {"litert": drawn, "support": (source, target), "autoencoder": codes, "tolerance": 1e-3}
    report = parity_report(drawer, **options, litert_by=("browser",))
    assert report.passed and len(report.rows) == 8, str(report)


@pytest.mark.parametrize(
    ("subject", "quantization"),
    [("learner", "dynamic_int8"), ("learner", "weight_int4"), ("pruned", "float32"), ("pruned", "weight_int8")],
)
def test_a_compressed_file_answers_as_in_python(chromium, request, tmp_path, subject, quantization):
    del chromium  # skipped without it
    learner = request.getfixturevalue(subject)
    x, y = support(learner.model)
    path = export_litert(learner, tmp_path / "small.tflite", K, quantization=quantization)
    runner = LiteRTRunner(path)
    state = runner.adapt(x, y)
    with BrowserRunner(path) as tab:
        np.testing.assert_allclose(tab.adapt(x, y), state, atol=1e-3)
        np.testing.assert_array_equal(tab.generate(x[:1], state), runner.generate(x[:1], state))


def test_a_page_with_a_compressed_learner(chromium, pruned, tmp_path):
    """Pruned, and stored in eight bits: it learns from a file, and its state is one of Python's."""
    deployed = deploy_model(pruned, "web", tmp_path / "page", "code", k_shot=K, quantization="weight_int8")
    with PageServer(tmp_path / "page") as opened:
        tab = Tab(chromium, opened.url)
        tab.ready("code").page.click("#code-learn")
        tab.until("document.querySelector('#code-message').textContent.startsWith('Learned')")
        with tab.page.expect_download() as download:
            tab.page.click("#code-save")
        download.value.save_as(tmp_path / "state.npz")
        tab.context.close()
    pack, pairs = ByteTokenizer().pack, functions_at(_example(tmp_path))
    rows = [pairs[i] for i in (0, 2, 5)]
    runner = LiteRTRunner(deployed.litert)
    state = runner.load_state(tmp_path / "state.npz")
    expected = runner.adapt(pack([s for s, _ in rows], 16), pack([t for _, t in rows], 16))
    assert len(state) < 0.3 * pruned.model.count_params()
    np.testing.assert_allclose(state, expected, atol=1e-3)
    assert not tab.wrong


def _example(folder):
    """The file that the page begins with, as a file of Python."""
    path = folder / "example.py"
    path.write_text(EXAMPLE.read_text())
    return path


def test_it_reads_a_file_and_completes(tab, page, tmp_path):
    tab.ready()
    tab.page.focus("#tab-glyphs")
    tab.page.keyboard.press("ArrowRight")
    tab.ready("code")
    assert "8 functions found; it learns from 3" in tab.page.inner_text("#code-count")
    tab.page.focus("#code-learn")
    tab.page.keyboard.press("Enter")
    tab.until("document.querySelector('#code-message').textContent.startsWith('Learned')")
    tab.page.click("#code-write")
    tab.until("document.body.dataset.written === 'yes'")
    assert not tab.wrong
    tab.shot("code")
    runner = LiteRTRunner(page / "models" / "code" / "model.tflite")
    pack, pairs = ByteTokenizer().pack, functions_at(_example(tmp_path))
    rows = [pairs[i] for i in (0, 2, 5)]  # spread evenly, as the page takes them
    state = runner.adapt(pack([s for s, _ in rows], 16), pack([t for _, t in rows], 16))
    expected = ByteTokenizer().decode(runner.generate(pack([PROMPT], 16), state)[0])
    assert tab.page.evaluate("document.querySelector('#code-after').textContent") == expected
    own = {"name": "own.py", "mimeType": "text/x-python", "buffer": b"def f(x):\n    return x\n"}
    tab.page.set_input_files("#code-file", own)
    tab.until("document.querySelector('#code-count').textContent.startsWith('1 function')")
    tab.page.set_input_files("#code-file", {**own, "buffer": b"\xff\xfe\x00"})
    tab.until("document.querySelector('#code-message.error')")
    assert "no text in UTF-8" in tab.page.inner_text("#code-message")


def test_a_broken_state_gets_a_clear_message(tab, drawn, tmp_path):
    tab.ready()
    runner = LiteRTRunner(drawn)
    state = np.random.default_rng(0).normal(size=runner.about["state_size"]).astype("float32")
    good = runner.save_state(state, tmp_path / "good.npz").read_bytes()
    other = State.of(state, "low_rank").save(tmp_path / "other.npz", "0" * 64).read_bytes()
    short = State.of(state[:-1], "low_rank").save(tmp_path / "short.npz").read_bytes()
    wrong = State.of(np.full_like(state, np.nan), "low_rank").save(tmp_path / "nan.npz").read_bytes()
    for content, message in (
        (good[: len(good) // 2], "no whole state file"),
        (b"", "no whole state file"),
        (good[:3000] + b"\x01" + good[3001:], "is damaged"),
        (other, "another model"),
        (short, f"this model needs {len(state)}"),
        (wrong, "no number"),
        (bytes(4 * len(state) + 2**16 + 1), "a state of this model at most"),
    ):
        tab.page.set_input_files("#glyphs-load", {"name": "s.npz", "mimeType": "", "buffer": content})
        tab.until(f"{ERROR} && {ERROR}.textContent.includes('{message}')")
    tab.shot("broken_state")
    tab.page.set_input_files("#glyphs-load", {"name": "s.npz", "mimeType": "", "buffer": good})
    tab.until("document.body.dataset.drawn === 'after'")
    assert not tab.page.query_selector("#glyphs-message.error") and not tab.wrong


def test_damaged_states_never_become_others(tab, drawn, tmp_path):
    tab.ready()
    runner = LiteRTRunner(drawn)
    state = np.random.default_rng(0).normal(size=runner.about["state_size"]).astype("float32")
    good = runner.save_state(state, tmp_path / "good.npz").read_bytes()
    script = """async ([about, files]) => {
      const { readState } = await import("/state.js");
      return files.map((bytes) => {
        try { return Array.from(readState(Uint8Array.from(bytes), about)); }
        catch (error) { return error.message; }
      });
    }"""
    about = {key: runner.about[key] for key in ("state_size", "model")}
    found = tab.page.evaluate(script, [about, [list(damaged(good, seed)) for seed in range(100)] + [list(good)]])
    np.testing.assert_array_equal(np.array(found[-1], "float32"), state)
    for one in found[:-1]:
        assert (isinstance(one, str) and "state" in one.lower()) or np.array_equal(np.array(one, "float32"), state)
    assert sum(isinstance(one, str) for one in found) > 70


def test_texts_and_functions_are_read_as_python_reads_them(tab, tmp_path):
    tokenizer = MetaGPT.from_preset("text_nano").tokenizer
    texts = ["We, the People  of the\nUnited States: 1789!", "naïve Straße ✓ " + "x" * 60, "", "\t\n  a"]
    script = """async ([spec, texts]) => {
      const tokenizer = new (await import("/tokenizer.js")).Tokenizer(spec);
      return texts.map((text) => [[...tokenizer.pack(text, 48)], tokenizer.text(tokenizer.encode(text))]);
    }"""
    spec = {"merges": tokenizer.merges, "pad_id": 0, "bos_id": 1, "eos_id": 2}
    found = tab.page.evaluate(script, [spec, texts])
    np.testing.assert_array_equal([row for row, _ in found], tokenizer.pack(texts, 48))
    assert [text for _, text in found] == texts
    source = (Path(__file__).parents[2] / "metagpt_tf" / "files.py").read_text()
    source += 'class A:\n\tdef g(self,\n\t\tx=(1,\n\t\t2)):\n\t\t"Doc."\n\t\treturn x\n\n\tdef h(self):\n\t\treturn 1\n'
    (tmp_path / "one.py").write_text(source)
    script = """async (text) => (await import("/functions.js")).functionsOf(text)"""
    expected = {tuple(pair) for pair in functions_at(tmp_path / "one.py")}
    assert {tuple(pair) for pair in tab.page.evaluate(script, source)} == expected and len(expected) == 2


def test_running_text_is_cut_by_tokens(tab):
    script = """async ([spec, text]) => {
      const tokenizer = new (await import("/tokenizer.js")).Tokenizer(spec);
      const { piecesOf, chosen } = await import("/functions.js");
      const pairs = piecesOf(text, tokenizer, 5, 4);
      return [pairs, chosen(pairs, 2).length, chosen(pairs.slice(0, 2), 5)];
    }"""
    spec = {"pad_id": 0, "bos_id": 1, "eos_id": 2}
    pairs, two, five = tab.page.evaluate(script, [spec, "0123456789" * 3])
    assert pairs == [["01234", "5678"], ["90123", "4567"], ["89012", "3456"]]
    assert two == 2 and five == [pairs[i % 2] for i in range(5)]


def test_a_letter_of_ones_own_by_keyboard(tab):
    tab.ready()
    tab.page.select_option("#glyphs-style", label="Your own: draw each letter")
    tab.page.click("#glyphs-learn")
    tab.until(f"{ERROR} && {ERROR}.textContent.includes('still empty')")
    for _ in range(4):
        tab.page.focus("#glyphs-canvas")
        for key in ["Shift+ArrowDown"] * 8 + ["Space"]:
            tab.page.keyboard.press(key)
        tab.page.click("#glyphs-done")
    tab.shot("own_letters")
    tab.learned()
    assert not tab.page.query_selector("#glyphs-message.error") and not tab.wrong


def test_another_letter_leaves_the_first_as_it_was_drawn(tab):
    tab.ready()
    tab.page.select_option("#glyphs-style", label="Your own: draw each letter")
    tab.page.focus("#glyphs-canvas")
    for key in ["Shift+ArrowDown"] * 8 + ["Space"]:
        tab.page.keyboard.press(key)
    ink = """() => [...document.querySelectorAll("#glyphs-given canvas")].map((one) =>
        [...one.getContext("2d").getImageData(0, 0, one.width, one.height).data].some((value) => value < 230))"""
    drawn = tab.page.evaluate(ink)
    assert drawn[0] and not any(drawn[1:])
    tab.page.click("#glyphs-given li:nth-child(2) button")
    assert tab.page.evaluate(ink) == drawn


def test_a_long_text_is_read_whole(tab):
    tab.ready()
    script = """async (size) => {
      const { Tokenizer } = await import("/tokenizer.js");
      return new Tokenizer({ pad_id: 0, bos_id: 1, eos_id: 2 }).encode("a b ".repeat(size)).length;
    }"""
    assert tab.page.evaluate(script, 100_000) == 400_000


def test_on_a_phone(chromium, server):
    tab = Tab(chromium, server.url, viewport=PHONE, has_touch=True, is_mobile=True, device_scale_factor=2)
    tab.ready().learned()
    assert tab.page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    sizes = "[...document.querySelectorAll('button')].filter((b) => b.offsetParent).map((b) => b.offsetHeight)"
    assert min(tab.page.evaluate(sizes)) >= 40  # room for a finger
    tab.shot("phone")
    tab.page.click("#tab-code")
    tab.ready("code")
    assert tab.page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    tab.shot("phone_code")
    tab.context.close()


def test_without_a_network(chromium, page):
    with PageServer(page) as opened:
        tab = Tab(chromium, opened.url)
        tab.ready().until("navigator.serviceWorker.ready.then(() => true)")
        url = opened.url
    tab.page.goto(url)  # the server is gone
    tab.ready().learned()
    assert "The alphabet is drawn" in tab.page.inner_text("#glyphs-message")
    tab.context.close()


def test_a_damaged_model_and_a_page_that_is_not_whole(chromium, page, tmp_path):
    broken = Path(shutil.copytree(page, tmp_path / "broken"))
    model = broken / "models" / "letters" / "model.tflite"
    content = bytearray(model.read_bytes())
    content[len(content) // 2] ^= 1
    model.write_bytes(content)
    with PageServer(broken) as opened:
        tab = Tab(chromium, opened.url)
        tab.until(f"{ERROR} && {ERROR}.textContent.includes('is damaged')")
        model.unlink()
        tab.page.goto(opened.url + "?again")
        tab.until(f"{ERROR} && {ERROR}.textContent.includes('404')")
        tab.context.close()
