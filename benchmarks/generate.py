"""Tokens per second of greedy generation: ours with and without the cache, and Hugging Face transformers on a T5.

Fresh models of given sizes, or with `--preset` trained ones beside a T5 of the dimensions and vocabulary of each.
"""

import argparse
from pathlib import Path
from typing import Any

from machine import cores, describe, sentence
from rounds import Entry, compare, installed, note_disturbance, require_product, run_rounds, table, write_json

CACHED, UNCACHED, T5 = "ours, generate", "ours, no cache", "transformers T5"
ENTRIES = [
    Entry(CACHED, "contestants.generate_keras:Cached", "tensorflow"),
    Entry(UNCACHED, "contestants.generate_keras:Uncached", "tensorflow"),
    Entry(T5, "contestants.generate_transformers:Transformers", "transformers"),
]
SIZES = {
    "nano": {"dim": 128, "layers": 2, "heads": 4, "hidden": 512},
    "t5-small": {"dim": 512, "layers": 6, "heads": 8, "hidden": 2048},
}
OURS_TO_T5 = 3.0


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    add = parser.add_argument
    add("--sizes", nargs="+", choices=SIZES, help="fresh models; all if left out, none if left out beside --preset")
    add("--preset", nargs="+", default=[], metavar="NAME", help="trained models: names or directories of presets")
    add("--batches", nargs="+", type=int, default=[1, 8])
    add("--source", type=int, default=64, help="tokens of a source")
    add("--tokens", type=int, default=64, help="tokens that everybody generates, no more and no fewer")
    add("--calls", type=int, default=10, help="measured calls a round")
    add("--rounds", type=int, default=3, help="rounds over all contestants")
    add("--round-seconds", type=float, default=30.0, help="after this long a round begins no new call")
    add("--cores", type=int, default=cores(), help="cores that each contestant may use")
    add("--seed", type=int, default=0)
    add("--json", metavar="PATH", help="write the results there")
    return parser.parse_args()


def main() -> None:
    options = parse()
    require_product()
    machine = describe()
    print(sentence(machine))
    print(
        f"Greedy, {options.source} source tokens, exactly {options.tokens} new tokens (or what a preset holds):\n"
        "the end mark is forbidden, by its bias in our head and by min_new_tokens = max_new_tokens in T5. Ours\n"
        "includes text to ids and back, low-rank adapters and context tokens; T5 gets ids. Without the cache\n"
        "the whole model runs again for every token. "
        f"{options.rounds} rounds in turn of up to {options.calls} calls on {options.cores} cores, float32.\n"
    )
    entries = installed(ENTRIES)
    results: dict[str, Any] = {}
    ratios: dict[str, Any] = {}
    models = models_of(options)
    for name, model in models.items():
        for batch in options.batches:
            key = f"{name} batch {batch}"
            settings = {**vars(options), **model, "batch": batch}
            found = run_rounds(entries, settings, options.cores, options.rounds, options.calls, options.round_seconds)
            check_tokens(found, batch, settings["tokens"])
            for result in found.values():
                result["tokens_per_second"] = round(1e3 * batch * settings["tokens"] / result["median_ms"], 1)
            print(f"{key}: {settings['source']} + {settings['tokens']} tokens")
            show(found)
            results[key], ratios[key] = found, ratios_of(found, batch)
            print()
    settings = {k: v for k, v in vars(options).items() if k not in ("json", "sizes", "preset")}
    # A preset's directory says where it lay on this machine; its name, the key, is enough.
    settings["sizes"] = {name: {k: v for k, v in m.items() if k != "preset"} for name, m in models.items()}
    head = {"benchmark": "generate", "machine": machine, "settings": settings}
    write_json(options.json, {**head, "results": results, "ratios": ratios})


def models_of(options: argparse.Namespace) -> dict[str, dict[str, Any]]:
    """What is measured, by name: each model's dimensions, and of a trained one also where it is."""
    sizes = options.sizes or ([] if options.preset else list(SIZES))
    trained = {Path(preset).name: trained_model(preset, options) for preset in options.preset}
    return {**{size: {**SIZES[size], "preset": None} for size in sizes}, **trained}


def trained_model(preset: str, options: argparse.Namespace) -> dict[str, Any]:
    """The dimensions of a trained model; source and tokens no longer than it reads and writes.

    Raises:
        SystemExit: there is no such preset.
    """
    from metagpt_tf.presets import Preset, find_preset, pretrained_names
    from metagpt_tf.tokenizers import get

    directory = find_preset(preset)
    if directory is None:
        known = ", ".join(pretrained_names()) or "none"
        raise SystemExit(
            f"There is no trained preset {preset!r}: give a directory that save_to_preset wrote, or one of those "
            f"that come with the package ({known})."
        )
    config = Preset(directory).description("model")["config"]
    return {
        "dim": config["dim"],
        **{name: config[f"num_{name}"] for name in ("layers", "heads")},
        "hidden": config["hidden_dim"],
        "vocabulary": get(config["tokenizer"]).vocabulary_size,
        "source": min(options.source, config["source_length"]),
        "tokens": min(options.tokens, config["target_length"]),
        "preset": str(directory.resolve()),
    }


def show(results: dict[str, dict[str, Any]]) -> None:
    """The table of one size and batch."""
    head = ["", "tokens/s", "ms a call", "fastest", "rounds", "calls", "peak MiB", "imports MiB", "first call s"]
    rows = [
        [
            name,
            f"{r['tokens_per_second']:.0f}",
            f"{r['median_ms']:.1f}",
            f"{r['fastest_ms']:.1f}",
            " ".join(f"{m:.0f}" for m in r["round_medians_ms"]),
            f"{sum(r['steps_per_round'])}",
            f"{r['peak_mib']}",
            f"{r['import_mib']}",
            f"{r['first_seconds']:.1f}",
        ]
        for name, r in results.items()
    ]
    table(head, rows)


def ratios_of(results: dict[str, dict[str, Any]], batch: int) -> list[dict[str, Any]]:
    """The ratios of speeds, with the target at batch 1."""
    found = [compare("speed with / without the cache", results[CACHED], results[UNCACHED], at_least=True)]
    if T5 in results:
        target = OURS_TO_T5 if batch == 1 else None
        found.append(compare("speed of ours / transformers", results[CACHED], results[T5], target, at_least=True))
    note_disturbance(results)
    return found


def check_tokens(results: dict[str, dict[str, Any]], batch: int, tokens: int) -> None:
    """Everybody generated as many tokens, none of them the end mark, and our two forms the same ones.

    Raises:
        SystemExit: one did not.
    """
    found = {name: result["facts"].pop("ids") for name, result in results.items()}
    for name, ids in found.items():
        if len(ids) != batch or {len(row) for row in ids} != {tokens} or results[name]["facts"]["eos"]:
            raise SystemExit(f"{name} did not generate {tokens} tokens for each of {batch} sources.")
    if found[CACHED] != found[UNCACHED]:
        raise SystemExit("With and without the cache different tokens were generated.")
    results[CACHED]["facts"]["different_tokens"] = len({token for row in found[CACHED] for token in row})


if __name__ == "__main__":
    main()
