"""Problems made of functions: faults are real, cuts keep every line, seeds decide."""

import ast

import pytest

from metagpt_tf.datasets.loading import functions_at
from metagpt_tf.tasks.code_corruptions import CORRUPTIONS, STILL_PYTHON, corrupt, same_tree
from metagpt_tf.tasks.code_tasks import CODE_TASKS, HOLE, SOUND, code_pairs, code_problems
from metagpt_tf.tasks.syntax_tree import from_tree_text

FUNCTION = (
    'def pick(values, low):\n    """Pick them."""',
    "    kept = []\n    for value in values:\n        if value > low and value != 3:\n"
    "            kept.append(value * 2)\n    return kept",
)
TEXT = "\n".join(FUNCTION)


@pytest.fixture(scope="module")
def real():
    import textwrap as module

    return functions_at(module.__file__)


def tree(text):
    try:
        return ast.dump(ast.parse(text))
    except SyntaxError:
        return None


@pytest.mark.parametrize("kind", CORRUPTIONS)
@pytest.mark.parametrize("seed", range(4))
def test_every_kind_changes_the_tree_or_ends_it(kind, seed):
    fault = corrupt(TEXT, seed, [kind], first_line=3)
    assert fault is not None and fault.kind == kind
    assert tree(fault.text) != tree(TEXT)
    assert kind not in STILL_PYTHON or tree(fault.text) is not None
    lines, broken = TEXT.split("\n"), fault.text.split("\n")
    differing = next(i for i, (a, b) in enumerate(zip(lines, [*broken, ""], strict=False), start=1) if a != b)
    assert 3 <= fault.line <= len(broken) and abs(differing - fault.line) <= (0 if len(lines) == len(broken) else 1)


@pytest.mark.parametrize(
    ("kind", "text", "expected"),
    [
        ("operator", "def f(x):\n    return x + 1", "def f(x):\n    return x - 1"),
        ("comparison", "def f(x):\n    return x < 1", "def f(x):\n    return x <= 1"),
        ("return", "def f(x):\n    return x", "def f(x):\n    x"),
        ("colon", "def f(x):\n    if x:  # why\n        y", "def f(x):\n    if x  # why\n        y"),
        ("bracket", "def f(x):\n    g(x)", "def f(x):\n    g(x"),
    ],
)
def test_a_fault_is_what_its_name_says(kind, text, expected):
    fault = corrupt(text, 0, [kind])
    assert fault.text == expected and fault.line == 2


def test_faults_are_decided_by_the_seed():
    assert corrupt(TEXT, 5) == corrupt(TEXT, 5)
    assert len({corrupt(TEXT, seed).text for seed in range(12)}) > 4


def test_no_fault_where_nothing_may_change():
    assert corrupt("def f(x):\n    return x", 0, ["comparison"]) is None
    assert corrupt(TEXT, 0, first_line=3, visible_bytes=20) is None


def test_lines_inside_a_literal_are_left_alone():
    text = 'def f():\n    return """a\n    b + c\n    d"""'
    assert corrupt(text, 0, ["operator", "dropped line", "indent"]) is None


def test_equal_values_of_other_types_are_different_trees():
    assert not same_tree(ast.parse("x = 1"), ast.parse("x = 1.0"))
    assert same_tree(ast.parse("x = 1"), ast.parse("x  =  1 # note"))


def test_real_functions_make_every_problem(real):
    for task in CODE_TASKS:
        pairs = code_pairs(real, task)
        assert len(pairs) == len(real) and all(target for _, target in pairs)
        assert pairs == code_pairs(real, task)


def test_completion_and_middle_lose_no_line(real):
    for (source, target), (prefix, suffix) in zip(real, code_pairs(real, "completion", seed=3), strict=True):
        assert f"{prefix}\n{suffix}" == f"{source}\n{target}" and prefix.startswith(source)
    for (source, target), (around, middle) in zip(real, code_pairs(real, "middle", seed=3), strict=True):
        assert around.replace(HOLE, middle, 1).rstrip("\n") == f"{source}\n{target}"


def test_repair_gives_back_the_function(real):
    for (source, target), (broken, fixed) in zip(real, code_pairs(real, "repair"), strict=True):
        assert fixed == f"{source}\n{target}" and tree(broken) != tree(fixed)


def test_reviews_are_half_sound_and_name_line_and_kind(real):
    reviews = code_pairs(real * 8, "review") + [p for seed in range(8) for p in code_pairs(real, "review", seed)]
    sound = [target == SOUND for _, target in reviews]
    assert 0.25 < sum(sound) / len(sound) < 0.75
    for _, target in reviews:
        assert target == SOUND or target.split(": ")[1] in CORRUPTIONS
        assert target == SOUND or int(target.split(": ")[0].removeprefix("line ")) > 1


@pytest.mark.parametrize("task", ["body", "completion", "middle", "repair"])
def test_targets_as_trees_say_the_same(real, task):
    pairs = code_pairs(real, task, representation="tree")
    assert len(pairs) == len(real)
    for (source, target), (before, written) in zip(real, pairs, strict=True):
        code = from_tree_text(written)
        if task == "repair":
            assert code == ast.unparse(ast.parse(f"{source}\n{target}"))
        elif task == "body":
            indented = "\n".join(f"    {line}" for line in code.split("\n"))
            assert before == source and ast.parse(code).body and (tree(f"{source}\n{indented}") or '"""' in code)
        else:
            assert ast.parse(code).body


def test_what_must_be_seen_is_inside_the_room():
    function = (FUNCTION[0], "\n".join(f"    value_{i} = low + {i}" for i in range(30)) + "\n    return values")
    for seed in range(20):
        for task in ("completion", "middle"):
            ((source, target),) = code_pairs([function], task, seed, source_bytes=90)
            assert len(source.encode()) <= 90
            border = source if task == "completion" else source.split(f"\n{HOLE}\n")[0]
            assert f"{border}\n{target}" in "\n".join(function)
        ((broken, fixed),) = code_pairs([function], "repair", seed, source_bytes=150, target_bytes=120)
        assert broken[:150] != fixed[:150]


def test_statements_on_one_line_are_not_cut_apart():
    pair = ('def f():\n    "Do."', "    a = 1; b = 2\n    return a")
    assert {code_pairs([pair], "completion", seed, "tree")[0][1] for seed in range(9)} == {"=a 1=b 2 ra", "ra"}


def test_what_is_left_out_is_counted():
    long = ('def f():\n    """' + "Long. " * 30 + '"""', "    pass")
    data = {"meta_train": {"a": [FUNCTION, long], "b": [long]}}
    with pytest.warns(UserWarning, match=r"Left out 2 of 3 functions: no place for 'repair'"):
        found = code_problems(data, "repair", source_bytes=40 + len(FUNCTION[0]))
    assert list(found["meta_train"]) == ["a"]
    with pytest.warns(UserWarning, match="Left out"), pytest.raises(ValueError, match="'meta_train' has no function"):
        code_problems(data, "repair", source_bytes=10)


def test_every_border_between_statements_is_a_place_to_cut():
    pair = ('def f():\n    "Do."', "    a = 1\n    if a:\n        a = 2\n    return a")
    targets = {code_pairs([pair], "completion", seed, "tree")[0][1] for seed in range(30)}
    assert targets == {"=a 1 ia=a 2))ra", "ia=a 2))ra", "ra"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("bodi",), "Did you mean 'body'"),
        (("body", 0, "trees"), "Did you mean 'tree'"),
        (("review", 0, "tree"), "is no code, so it has no tree"),
    ],
)
def test_unknown_names_are_errors(arguments, message):
    with pytest.raises(ValueError, match=message):
        code_pairs([FUNCTION], *arguments)


def test_an_unknown_corruption_is_an_error():
    with pytest.raises(ValueError, match="Did you mean 'operator'"):
        corrupt(TEXT, 0, ["operater"])


def test_problems_do_not_depend_on_their_neighbours(real):
    alone = code_pairs(real[2:3], "repair")
    assert alone[0] == code_pairs(real, "repair")[2]
