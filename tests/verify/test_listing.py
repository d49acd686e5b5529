"""What a config would run is listed before it is run; what a person should look at is marked."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from monai_iel.verify import list_found
from monai_iel.verify.expressions import aliases_of, judge_expression

IMPORTS = [
    *("$import os", "$import numpy as np", "$import glob", "$import logging", "$import sys", "$import nibabel"),
    *("$from pathlib import Path", "$import monai_iel.data", "$from torch import nn", "$import operator"),
    "$import ignite",
]


def bundle(root: Path, content: object, name: str = "configs/inference.json") -> Path:
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / name).write_text(content if isinstance(content, str) else json.dumps(content))
    return root


def marked(root: Path) -> list[str]:
    return [entry.why for entry in list_found(root)[0] if entry.why]


@pytest.mark.parametrize(
    "text",
    [
        "$@bundle_root + '/models/model.pt'",
        "$torch.device('cuda:0' if torch.cuda.is_available() else 'cpu')",
        "$[{'image': p} for p in sorted(glob.glob(os.path.join(@dataset_dir, '*.nii.gz')))]",
        "$@network_def.to(@device).eval()",
        "$monai.handlers.from_engine(['pred', 'label'])",
        "$lambda x: np.testing.assert_(len(x) > 0, str(x.meta['filename_or_obj']) + ': empty')",
        "$getattr(@loss, 'set_strength', None)",
        "$torch.optim.Adam(@network.parameters(), lr=1e-4 * @batch_size)",
        "$os.environ.get('LOCAL_RANK', '0') == '0'",
        "$@train#dataset.set_data(list(map(dict, @data)))",
        "$logging.info('reading %s', @dataset_dir)",
        '$print(f"{@lr:.3f}", file=sys.stderr)',
        "$min((r for r in @regions or [] if 1 in r), key=len, default=[1])",
        "$Path(@bundle_root).name",
        "$nn.Identity()",
        "$import monai_iel.data",
        "$from monai.transforms import Compose",
        "$'an @ in a text, and a # too'",
        "$@name.replace('a', 'b') + os.environ['RANK']",
        "$[operator.attrgetter('a.b')(x) for x in @cases]",
        "$torch.nn.functional.conv2d(@x, @y).to(torch.float32)",
        "$monai.transforms.LoadImage(reader='NibabelReader')",
        "$monai.networks.nets.resnet50(pretrained=False)",
        "$ignite.engine.Events.ITERATION_STARTED",
        "$numpy.random.default_rng(0).normal(size=3) * numpy.pi",
        "$monai_iel.Grid([1.0, 1.0])",
        "$import torch.distributed as dist",
    ],
)
def test_what_bundles_write_is_not_marked(text: str) -> None:
    assert judge_expression(text, aliases_of(IMPORTS)) == ""


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("$os.system('touch x')", "'os.system' can run code"),
        ("$os.remove('x')", "'os.remove' can run code, or change files"),
        ("$__import__('os')", "'__import__' is no harmless name"),
        ("$eval('1')", "'eval' is no harmless name"),
        ("$open('x', 'w')", "'open' is no harmless name"),
        ("$[c for c in ().__class__.__base__.__subclasses__()]", "is internal to Python"),
        ("$getattr(os, 'sys' + 'tem')('x')", "getattr() of a name that is computed"),
        ("$getattr(os, 'system')('x')", "'system' can run code"),
        ("$list(map(getattr, [os], ['system']))", "'getattr' is no harmless name"),
        ("$(lambda m: m.remove('x'))(os)", "the module 'os' is handed on"),
        ("$[torch][0].load('x')", "the module 'torch' is handed on"),
        ("$torch.load('x.pt', weights_only=False)", "can load pickled objects"),
        ("$np.load('x.npy', allow_pickle=True)", "can load pickled objects"),
        ("$torch.hub.load('a/b', 'c')", "downloads and runs code"),
        ("$torch.os.system('x')", "'os' can run code"),
        ("$monai.utils.optional_import('os')[0].remove('x')", "'optional_import' can run code"),
        ("$monai.bundle.run(config_file='other.json')", "runs other configs"),
        ("$monai.apps.download_url('http://x')", "downloads"),
        ("$Path('x').write_text('y')", "'write_text' can run code, or change files"),
        ("$import subprocess", "'subprocess' is not of MONAI, torch or ignite"),
        ("$import evil.monai", "'evil' is not of MONAI, torch or ignite"),
        ("$from os import system as path", "'os.system' can run code"),
        ("$from torch.hub import load", "downloads and runs code"),
        ("$subprocess.run('x')", "'subprocess' is no harmless name of Python, and no config imports it"),
        ("$__local_refs.clear(", "cannot be read as Python"),
        ("$@network.__reduce__()", "is internal to Python"),
        ("$(os := @x).system('x')", "'system' can run code"),
        ("$torch.utils.collect_env.run('x')", "starts programs"),
        ("$torch.utils.benchmark.Timer('x').timeit(1)", "stands on no list of harmless names"),
        ("$numpy.testing.runstring('x', {})", "'numpy.testing.runstring' evaluates text"),
        ("$numpy.save('x', 1)", "stands on no list of harmless names"),
        ("$torch.utils.checkpoint.torch.load('x')", "stands on no list of harmless names"),
        ("$monai.data.utils.np.load('x')", "leads to the module 'numpy'"),
        ("$torch.optim.optimizer.functools.partial", "leads to the module 'functools'"),
        ("$torch.utils.data.dataloader.Callable", "is of 'collections.abc'"),
        ("$monai.losses.PerceptualLoss(2)", "downloads and runs code"),
        ("$monai.networks.nets.resnet50(pretrained=True)", "can download weights"),
        ("$monai.losses.NoSuchLoss()", "is not found in this installation"),
        ("$list(@x)[0](nn)", "the module 'torch.nn' is handed on"),
        ("$operator.attrgetter('a.system')(@x)('y')", "'system' can run code"),
        ("$operator.methodcaller('system', 'y')(@x)", "'system' can run code"),
        ("$operator.attrgetter(@name)(@x)", "of a name that is computed"),
        ("$map(operator.attrgetter, @names)", "takes attributes by their names"),
        ("$Path('x').rename('y')", "'rename' can run code, or change files"),
        ("$Path('x').replace('y')", "can move files"),
        ("$Path('x').replace(*@y)", "can move files"),
        ("$map(@path.replace, @others)", "can move files"),
        ("$Path.replace(@x, @y)", "'pathlib.Path.replace' moves files"),
        ("$Path('x').touch()", "'touch' can run code, or change files"),
        ("$os.environ.update(LD_PRELOAD='x')", "can run code, or change files"),
        ("$[0 for os.environ['LD_PRELOAD'] in ['x']]", "changes a part of an object"),
        ("$monai.transforms.LoadImage('subprocess.getoutput')", "'subprocess.getoutput' is not of MONAI"),
        ("$monai.transforms.LoadImage(reader='eval')", "would look for 'eval' anywhere"),
    ],
)
def test_what_can_do_harm_is_marked(text: str, why: str) -> None:
    assert why in judge_expression(text, aliases_of(IMPORTS))


def test_a_comment_is_no_hiding_place() -> None:
    """MONAI writes :: for every #, so what looks like a comment is evaluated: here as the step of a slice."""
    assert "'os.system'" in judge_expression("$'abc'[0#os.system('x')\n]", aliases_of(IMPORTS))


def test_a_name_that_two_configs_import_stands_for_both(tmp_path: Path) -> None:
    bundle(tmp_path, {"imports": ["$import numpy as x"], "y": "$x.sum(1)"}, "configs/a.json")
    bundle(tmp_path, {"imports": ["$import os as x"]}, "configs/b.json")
    assert marked(tmp_path) == ["'os.sum' can run code, or change files"]


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ({"x": {"_target_": "os.system", "command": "x"}}, "'os.system' is not of MONAI, torch or ignite"),
        ({"x": {"_target_": "eval"}}, "'eval' is no component of MONAI; Python would look for it anywhere"),
        ({"x#_target_": "subprocess.run"}, "'subprocess.run' is not of MONAI"),
        ({"name": "os.system", "x": {"_target_": "@name"}}, "what it is shows only when the config is evaluated"),
        ({"x": {"_target_": "$@name"}}, "what it is shows only when the config is evaluated"),
        ({"x": {"_target_": "torch.load", "f": "x"}}, "can load pickled objects"),
        ({"x": {"_target_": "monai.utils.module.optional_import"}}, "'optional_import' can run code"),
        ({"x": {"_target_": "run_cmd"}}, "'run_cmd' can run code"),
        ({"x": {"_target_": "scripts.Net"}}, "'scripts.Net' is not of MONAI"),
        ({"x": {"_target_": "Compose", "_mode_": "debug"}}, "opens a debugger"),
        ({"x": "%/etc/other.json#y"}, "reads a file that is not in the bundle's configs"),
        ({"x": "%../other.yaml::y"}, "reads a file that is not in the bundle"),
        ({"imports": ["$import os"], "x": "$@imports#0.remove('x')"}, "hands on a module"),
        ({"imports": ["$import os"], "x": "$@imports[0].remove('x')"}, "hands on a module"),
        ({"imports": ["$import os", "$@#0.remove('x')"]}, "hands on a module"),
        ({"imports": ["$import os"], "x": ["@imports"], "y": "$@x[0][0].remove('x')"}, "hands on a module"),
        ({"x": {"y": [1, {"z": "$exec('1')"}]}}, "'exec' is no harmless name"),
        ({"_requires_": ["$exec('1')"]}, "'exec' is no harmless name"),
        ({"x": {"_target_": "torch.utils.collect_env.run", "command": "x"}}, "starts programs"),
        ({"x": {"+_target_": "torch.utils.benchmark.Timer"}}, "stands on no list of harmless names"),
        ({"x": {"_target_": "torch.nn.modules.utils.collections.abc"}}, "leads to the module"),
        ({"x": {"_target_": "PersistentDataset"}}, "can load pickled objects"),
        ({"x": {"_target_": "LoadImaged", "reader": "subprocess.getoutput"}}, "'subprocess.getoutput' is not of MONAI"),
        ({"x": {"_target_": "LoadImaged", "reader": ["eval"]}}, "would look for 'eval' anywhere"),
        ({"x": {"_target_": "SaveImaged", "writer": "@name"}}, "shows only when the config is evaluated"),
        ({"name": "subprocess.getoutput"}, "names something in Python"),
        ({"x": {"_target_": "HoVerNet", "pretrained_url": "https://x"}}, "can download weights"),
        ({"x": "%data/other.json::y"}, "reads a file that is not in the bundle's configs"),
        ({"x": "%runs/other.yaml"}, "reads a file that is not in the bundle's configs"),
        ({"x": "%a\0b.yaml::y"}, "reads a file that is not in the bundle's configs"),
    ],
)
def test_items_of_a_config_that_can_do_harm_are_marked(content: object, why: str, tmp_path: Path) -> None:
    assert any(why in found for found in marked(bundle(tmp_path, content)))


def test_targets_of_monai_are_not_listed_and_others_are(tmp_path: Path) -> None:
    names = [
        "BasicUNet",
        "monai.losses.DiceLoss",
        "torch.optim.Adam",
        "monai_iel.HeatDiffusion",
        "ignite.engine.Engine",
    ]
    found, problems = list_found(bundle(tmp_path, [{"_target_": name} for name in names]))
    assert [(entry.kind, entry.text, entry.why) for entry in found] == [("target", name, "") for name in names[2:]]
    assert problems == []


def test_every_config_is_read_whatever_its_name_and_the_metadata_too(tmp_path: Path) -> None:
    for name in ("configs/metadata.json", "docs/deep/x.YML", "y.yaml"):
        bundle(tmp_path, '{"x": "$exec(1)"}', name)
    bundle(tmp_path, '{"x": "$exec(1)"}', "runs/left.json")
    assert {entry.file for entry in list_found(tmp_path)[0]} == {"configs/metadata.json", "docs/deep/x.YML", "y.yaml"}


def test_code_and_the_logging_config_are_listed(tmp_path: Path) -> None:
    bundle(tmp_path, "raise SystemExit", "scripts/net.py")
    bundle(tmp_path, "[handler_a]\nclass=StreamHandler\nargs=(__import__('os').system('x'),)\n", "configs/logging.conf")
    found = {(entry.file, entry.name): entry.why for entry in list_found(tmp_path)[0]}
    assert found == {
        ("configs/logging.conf", "handler_a::class"): "",
        ("configs/logging.conf", "handler_a::args"): "is evaluated, and is more than a handler that prints",
        ("scripts/net.py", ""): "a config can import it, under any name",
    }


def test_texts_that_are_no_names_of_python_are_not_marked(tmp_path: Path) -> None:
    content = {"file": "model.pt", "reader": "ITKReader", "writer": "NibabelWriter", "version": "1.6.1", "x": "a.b.c"}
    assert marked(bundle(tmp_path, {**content, "kind": "numpy.uint8", "pretrained": False})) == []


def test_a_macro_reads_what_was_read_and_nothing_behind_a_link(tmp_path: Path) -> None:
    bundle(tmp_path, {"y": 1}, "configs/more.json")
    bundle(tmp_path, {"y": "$exec(1)"}, "data/hidden.json")
    (tmp_path / "docs").symlink_to("data")
    bundle(tmp_path, {"x": "%configs/more.json::y", "y": "%x"})
    assert marked(tmp_path) == ["what lies in a folder behind a link is not looked at"]
    bundle(tmp_path, {"x": "%docs/hidden.json::y"})
    assert "reads a file that is not in the bundle's configs" in marked(tmp_path)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("[handler_a]\nclass=StreamHandler\nargs=(sys.stderr,)\nkwargs={}\n", []),
        ("[handler_a]\nclass=FileHandler\nargs=('/tmp/x', 'w')\n", ["handler_a::class", "handler_a::args"]),
        ("[handler_a]\nclass=handlers.HTTPHandler\n", ["handler_a::class"]),
        ("[handler_a]\nclass=StreamHandler\nargs=(logging.os,)\n", ["handler_a::args"]),
        ("[formatter_a]\nclass=evil.Formatter\ndefaults={'a': 1}\n", ["formatter_a::class", "formatter_a::defaults"]),
    ],
)
def test_a_log_that_does_more_than_print_is_marked(text: str, wanted: list[str], tmp_path: Path) -> None:
    found, _ = list_found(bundle(tmp_path, text, "configs/logging.conf"))
    assert [entry.name for entry in found if entry.why] == wanted


def test_a_dangling_link_to_code_is_listed(tmp_path: Path) -> None:
    (tmp_path / "x.py").symlink_to("nowhere.py")
    assert marked(tmp_path) == ["a config can import it, under any name"]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("x: !!python/object/apply:os.system ['touch x']", "cannot be read (ConstructorError"),
        ("x: [1", "cannot be read (ParserError"),
        ("a: &a [1, 2, 3]\nb: &b [*a, *a]\nc: [*b, *b]", ""),
        ("a: &a [*a]", "holds more than 100000 items"),
        (
            "a0: &a0 [x]\n" + "".join(f"a{n + 1}: &a{n + 1} [{', '.join([f'*a{n}'] * 9)}]\n" for n in range(9)),
            "holds more",
        ),
        ("x: " + "y" * 5_000_001, "are too many for a config"),
        ("[" * 1500, "cannot be read (RecursionError"),
    ],
    ids=[
        "objects of Python",
        "damaged",
        "sound aliases",
        "an alias of itself",
        "aliases that multiply",
        "large",
        "deep",
    ],
)
def test_a_config_that_cannot_be_read_is_named(content: str, reason: str, tmp_path: Path) -> None:
    _, problems = list_found(bundle(tmp_path, content, "configs/x.yaml"))
    if not reason:
        assert problems == []
        return
    (found,) = problems
    assert found.startswith("configs/x.yaml: ")
    assert reason in found


def test_nothing_that_a_terminal_obeys_is_printed(tmp_path: Path) -> None:
    (entry,) = list_found(bundle(tmp_path, {"x": "$1 \x1b[2K\r# \u202e"}))[0]
    assert "\\x1b[2K\\r# \\u202e" in str(entry)
