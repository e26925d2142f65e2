"""The command line: help, exit codes, and the whole way from training to generation."""

import json
import signal
import subprocess
import sys

import numpy as np
import pytest

from metagpt_tf.cli.main import EXIT_FAILED, EXIT_OK, EXIT_PARITY, build_parser, main
from metagpt_tf.fast_weights import State

VERBS = (
    "quickstart",
    "train",
    "adapt",
    "generate",
    "evaluate",
    "export",
    "compress",
    "serve",
    "demo",
    "bench",
    "tune",
    "fuse",
)


def test_help_has_an_example_of_every_verb(capsys):
    for verb in VERBS:
        with pytest.raises(SystemExit) as stop:
            build_parser().parse_args([verb, "--help"])
        assert stop.value.code == 0
        assert f"metagpt-tf {verb}" in capsys.readouterr().out


def test_wrong_usage_is_exit_code_2():
    with pytest.raises(SystemExit) as stop:
        main(["no_such_verb"])
    assert stop.value.code == 2


def test_help_does_not_wait_for_tensorflow():
    code = (
        "import sys\nfrom metagpt_tf.cli.main import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit:\n    pass\n"
        "assert 'tensorflow' not in sys.modules"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A folder with six small modules of documented functions."""
    folder = tmp_path_factory.mktemp("project")
    for name in ("alpha", "beta", "gamma", "delta", "epsilon", "zeta"):
        functions = [
            f'def {name}_{i}(x):\n    """Scale by {i}."""\n    {name} = x * {i}\n    return {name}\n' for i in range(22)
        ]
        (folder / f"{name}.py").write_text("\n\n".join(functions))
    return folder


@pytest.fixture(scope="module")
def trained(project, tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained")
    path, figures = folder / "learner.keras", folder / "figures.json"
    arguments = ["train", "--data", str(project), "--output", str(path), "--json", str(figures)]
    sizes = ["--length", "16", "--warm-steps", "1", "--steps", "1", "--k-shot", "2", "--n-query", "2"]
    options = ["--meta-batch-size", "1", "--algorithm", "fomaml", "--scope", "low_rank", "--inner-steps", "1"]
    assert main([*arguments, *sizes, *options]) == EXIT_OK
    assert {"bits_per_byte", "pre_bits_per_byte", "plan"} <= set(json.loads(figures.read_text()))
    return path


def test_adapt_then_generate(trained, project, tmp_path, capsys):
    state = tmp_path / "state.npz"
    arguments = ["adapt", "--model", str(trained), "--support", str(project / "alpha.py"), "--output", str(state)]
    assert main([*arguments, "--k-shot", "4", "--json", str(tmp_path / "adapt.json")]) == EXIT_OK
    loaded = State.load(state)
    assert loaded.scope == "low_rank" and np.isfinite(loaded).all()
    figures = json.loads((tmp_path / "adapt.json").read_text())
    assert figures["support_loss_after"] < figures["support_loss_before"]
    capsys.readouterr()
    options = ["--model", str(trained), "--state", str(state), "--max-length", "6"]
    assert main(["generate", "def f(x):", *options]) == EXIT_OK
    streamed = capsys.readouterr().out
    assert main(["generate", "def f(x):", "--no-stream", *options]) == EXIT_OK
    assert capsys.readouterr().out == streamed
    assert main(["generate", "def f(x):", "--sampler", "top_k", "--temperature", "0", *options]) == EXIT_OK
    assert capsys.readouterr().out == streamed  # the likeliest token


def test_export_and_its_exit_codes(trained, tmp_path):
    arguments = ["export", "--model", str(trained), "--format", "saved_model", "--k-shot", "2"]
    figures = tmp_path / "parity.json"
    assert main([*arguments, "--output", str(tmp_path / "a"), "--json", str(figures)]) == EXIT_OK
    assert (tmp_path / "a" / "saved_model" / "1" / "saved_model.pb").exists()
    assert json.loads(figures.read_text())["max_difference"] <= 1e-4
    assert main([*arguments, "--output", str(tmp_path / "b"), "--tolerance", "-1"]) == EXIT_PARITY


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["generate", "x", "--model", "missing.keras"], "no model file at missing.keras"),
        (["generate", "x", "--model", "text_nano", "--temperature", "1"], "add --sampler top_k"),
        (["train", "--data", "missing_folder", "--output", "x.keras"], "missing_folder"),
        (["train", "--output", "x.keras", "--algorithm", "mamll"], "Did you mean 'maml'"),
    ],
)
def test_failures_say_why(arguments, message, capsys):
    assert main(arguments) == EXIT_FAILED
    assert message in capsys.readouterr().err


def test_a_damaged_model_file(tmp_path, capsys):
    (tmp_path / "bad.keras").write_bytes(b"PK not a zip")
    assert main(["generate", "x", "--model", str(tmp_path / "bad.keras")]) == EXIT_FAILED
    assert "is not a whole .keras file" in capsys.readouterr().err


def test_a_damaged_state_file(trained, tmp_path, capsys):
    (tmp_path / "bad.npz").write_bytes(b"nothing")
    options = ["--model", str(trained), "--state", str(tmp_path / "bad.npz")]
    assert main(["generate", "x", *options]) == EXIT_FAILED
    assert "not a state file" in capsys.readouterr().err


def test_an_unknown_sampler_is_suggested(trained, capsys):
    assert main(["generate", "x", "--model", str(trained), "--sampler", "topk"]) == EXIT_FAILED
    assert "Did you mean 'top_k'" in capsys.readouterr().err


def test_compress_and_its_exit_codes(trained, project, tmp_path, capsys):
    command = ["compress", "--model", str(trained), "--data", str(project), "--output", str(tmp_path / "small")]
    command += ["--recipe", "int8", "--k-shot", "4", "--batches", "1", "--json", str(tmp_path / "c.json")]
    assert main([*command, "--size", "0.99"]) == EXIT_OK
    figures = json.loads((tmp_path / "c.json").read_text())
    assert figures["recipe"] == [["quantize", {"quantization": "weight_int8"}]] and not figures["shortfall"]
    original, small = figures["rows"]
    assert small["bytes"] == (tmp_path / "small" / "recipe" / "optimized.tflite").stat().st_size < original["bytes"]
    assert main([*command, "--size", "0.001"]) == EXIT_PARITY
    assert "above the budget" in capsys.readouterr().out
    assert main([*command[:-6], "--recipe", "int9"]) == EXIT_FAILED
    assert "Did you mean 'int8'" in capsys.readouterr().err


def test_serve_until_interrupted(tmp_path):
    """In a process of its own: it says where it listens, answers, and ends well when it is stopped."""
    import keras
    import requests

    from metagpt_tf.export import export_saved_model

    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, kernel_initializer="ones")])
    export_saved_model(model, tmp_path / "served")
    command = [sys.executable, "-m", "metagpt_tf", "serve", "--path", str(tmp_path / "served")]
    ports = ["--rest-port", "0", "--grpc-port", "0"]
    with subprocess.Popen([*command, *ports], stdout=subprocess.PIPE, text=True) as process:
        try:
            lines = [process.stdout.readline() for _ in range(2)]
            assert lines[0].startswith("version 1 of")
            url = lines[1].split()[1].rstrip(",")
            answer = requests.post(url, json={"instances": [[1.0, 2.0]]}, timeout=30)
            assert answer.json() == {"predictions": [[3.0]]}
            process.send_signal(signal.SIGTERM)  # a shell's background job ignores ctrl-c
            assert process.wait(60) == EXIT_OK
        finally:
            process.kill()


@pytest.mark.slow
def test_bench(tmp_path):
    figures = tmp_path / "speed.json"
    assert main(["bench", "--repeats", "1", "--length", "16", "--json", str(figures)]) == EXIT_OK
    assert json.loads(figures.read_text())["tokens_per_second"] > 0


@pytest.fixture(scope="module")
def poems(tmp_path_factory):
    """A folder with six authors, a file of words each."""
    folder = tmp_path_factory.mktemp("poems")
    for name in ("ann", "bob", "cid", "dan", "eve", "fay"):
        (folder / f"{name}.txt").write_text(f"{name} writes of {name} and of nothing else but {name}. " * 12)
    return folder


def test_language_from_training_to_evaluation(poems, tmp_path, capsys):
    model, state, figures = tmp_path / "learner.keras", tmp_path / "state.npz", tmp_path / "figures.json"
    chosen = ["--app", "language", "--k-shot", "2"]
    sizes = ["--length", "16", "--warm-steps", "1", "--steps", "1", "--n-query", "2", "--meta-batch-size", "1"]
    options = ["--algorithm", "fomaml", "--inner-steps", "1", "--data", str(poems)]
    assert main(["train", *chosen, *sizes, *options, "--output", str(model)]) == EXIT_OK
    support = ["--support", str(poems / "ann.txt"), "--output", str(state)]
    assert main(["adapt", *chosen, "--model", str(model), *support]) == EXIT_OK
    judged = ["--data", str(poems), "--n-query", "2", "--batches", "1", "--prompts", "2", "--json", str(figures)]
    assert main(["evaluate", *chosen, "--model", str(model), *judged]) == EXIT_OK
    found = json.loads(figures.read_text())
    assert {"bits_per_byte", "pre_bits_per_byte", "distinct_2", "task"} <= set(found)
    written = tmp_path / "text.json"
    asked = ["generate", "ann", "--model", str(model), "--max-length", "4", "--json", str(written)]
    assert main(asked) == EXIT_OK
    assert json.loads(written.read_text())["prompt"] == "ann"
    capsys.readouterr()
    wrong = ["adapt", *chosen, "--task", "triples", "--model", str(model), *support]
    assert main(wrong) == EXIT_FAILED
    assert "needs pairs" in " ".join(capsys.readouterr().err.split())


@pytest.fixture(scope="module")
def font(tmp_path_factory):
    """A folder with the letters of one style as PNG files, and one with three such folders."""
    import tensorflow as tf

    from metagpt_tf.applications.image import load_image_data

    images, texts = (part["meta_test"] for part in load_image_data())
    folder = tmp_path_factory.mktemp("fonts")
    for style in list(images)[:3]:
        (folder / style).mkdir()
        for number in range(12):
            png = tf.io.encode_png((images[style][number] * 255).astype("uint8"))
            (folder / style / f"{texts[style][number].replace(' ', '_')}.png").write_bytes(png.numpy())
    return folder


def test_images_from_training_to_a_sheet(font, tmp_path, capsys):
    learner, state, sheet, figures = (tmp_path / name for name in ("l.keras", "s.npz", "sheet.png", "f.json"))
    sizes = ["--warm-steps", "1", "--steps", "1", "--k-shot", "2", "--n-query", "2", "--meta-batch-size", "1"]
    options = ["--algorithm", "fomaml", "--inner-steps", "1", "--data", str(font)]
    assert main(["train", "--app", "image", "--output", str(learner), *sizes, *options]) == EXIT_OK
    style = next(iter(font.iterdir()))
    adapted = ["adapt", "--app", "image", "--model", str(learner), "--support", str(style), "--output", str(state)]
    assert main([*adapted, "--k-shot", "3"]) == EXIT_OK
    draw = ["generate", "--app", "image", "--model", str(learner), "--json", str(figures)]
    draws = ["--state", str(state), "--sampler", "top_k", "--samples", "2", "--guidance", "1.5", "--out", str(sheet)]
    with pytest.warns(UserWarning, match="lack codes"):  # it was hardly trained
        assert main([*draw, *draws, "letter a", "digit 7"]) == EXIT_OK
    assert sheet.read_bytes().startswith(b"\x89PNG")
    assert json.loads(figures.read_text())["images"] == 4
    for wrong, words in (
        (["letter a"], "give --out sheet.png"),
        (["--out", str(tmp_path / "a.gif"), "letter a"], "a.gif"),
        (["--out", str(sheet), "--stop", "x", "letter a"], "are of texts"),
    ):
        assert main([*draw, *wrong]) == EXIT_FAILED
        assert words in capsys.readouterr().err
    assert main(["generate", "--model", str(learner), "one", "two"]) == EXIT_FAILED
    assert "received 2" in capsys.readouterr().err
    judged = ["evaluate", "--app", "image", "--model", str(learner), "--data", str(font), "--batches", "1"]
    assert main([*judged, "--k-shot", "2", "--n-query", "2", "--prompts", "1", "--json", str(figures)]) == EXIT_OK
    assert {"bits_per_code", "pre_bits_per_code", "ssim"} <= set(json.loads(figures.read_text()))
    assert main([*adapted, "--task", "inpainting"]) == EXIT_FAILED
    assert "support set of --task generation" in capsys.readouterr().err
