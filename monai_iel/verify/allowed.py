"""The names of Python that a config may use without being looked at by a person, and exceptions among them.

Not a wall: a name that stands here can still be put to bad use. It tells a reader where to look first.
"""

from __future__ import annotations

import monai_iel

__all__ = ["LIBRARIES", "MODULES", "PLAIN", "PLAIN_BUILTINS", "RUNS", "RUNS_ANYWHERE"]


def _in(package: str, names: str) -> tuple[str, ...]:
    return tuple(f"{package}.{name}" for name in names.split())


PLAIN_BUILTINS = frozenset(
    """abs all any bool bytes dict divmod enumerate filter float frozenset hasattr int isinstance iter len list map max
    min next print range repr reversed round set slice sorted str sum tuple type zip""".split()  # noqa: SIM905
)

LIBRARIES = ("monai", "monai_iel", "torch", "ignite", "numpy")

# Each of them with what is inside it.
PLAIN = (
    *_in("monai", "__version__ transforms losses networks inferers handlers metrics data engines optimizers visualize"),
    *_in("monai.utils", "enums set_determinism first ensure_tuple ensure_tuple_rep ensure_tuple_size fall_back_tuple"),
    *_in("monai.utils", "convert_data_type convert_to_dst_type convert_to_numpy convert_to_tensor get_seed"),
    *_in("monai.utils", "Average BlendMode CommonKeys GridSampleMode GridSamplePadMode InterpolateMode LossReduction"),
    *_in("monai.utils", "MetricReduction NumpyPadMode PytorchPadMode SpaceKeys UpsampleMode Weight"),
    *_in("monai_iel", "data handlers layers losses metrics numerics peers terms transforms __version__"),
    *_in("monai_iel", " ".join(monai_iel.__all__)),
    *_in("ignite", "engine handlers metrics __version__"),
    *_in("torch", "__version__ amp backends fft linalg nn optim special utils.data utils.tensorboard"),
    *_in("torch", "abs all allclose any arange argmax argmin argsort as_tensor autocast bfloat16 bool cat ceil"),
    *_in("torch", "channels_last channels_last_3d chunk clamp clip concat cos cumsum device double dtype einsum"),
    *_in("torch", "enable_grad equal exp eye flatten flip float float16 float32 float64 floor from_numpy full"),
    *_in("torch", "full_like gather Generator half inf inference_mode int int16 int32 int64 int8 isfinite isinf isnan"),
    *_in("torch", "linspace log logical_and logical_not logical_or long manual_seed max maximum mean median min"),
    *_in("torch", "minimum mul nan no_grad nonzero norm numel ones ones_like permute pi pow prod rand randint randn"),
    *_in("torch", "randperm relu repeat_interleave reshape round set_float32_matmul_precision set_num_threads sigmoid"),
    *_in("torch", "sign sin Size softmax sort split sqrt squeeze stack std sum tanh Tensor tensor topk transpose"),
    *_in("torch", "uint8 unbind unique unsqueeze use_deterministic_algorithms var where zeros zeros_like"),
    *_in("torch.cuda", "amp current_device device_count empty_cache get_device_name is_available set_device"),
    *_in("torch.distributed", "ReduceOp all_reduce barrier destroy_process_group get_rank get_world_size"),
    *_in("torch.distributed", "init_process_group is_available is_initialized"),
    *_in("numpy", "__version__ abs all allclose any append arange argmax argmin argsort around array array_equal"),
    *_in("numpy", "asarray ascontiguousarray bincount bool_ ceil clip concatenate copy cos count_nonzero cross cumsum"),
    *_in("numpy", "diag diff digitize dot dtype empty exp expand_dims eye flip float16 float32 float64 floor full"),
    *_in("numpy", "full_like hstack inf int16 int32 int64 int8 integer interp intersect1d isfinite isin isinf isnan"),
    *_in("numpy", "linalg linspace log log10 log2 logical_and logical_not logical_or logspace max maximum mean median"),
    *_in("numpy", "meshgrid min minimum moveaxis nan nan_to_num ndarray newaxis nonzero ones ones_like pad percentile"),
    *_in("numpy", "pi prod quantile random ravel repeat reshape roll rot90 round setdiff1d sign sin sort split sqrt"),
    *_in("numpy", "squeeze stack std sum swapaxes take tan tile transpose uint16 uint32 uint64 uint8 union1d unique"),
    *_in("numpy", "unravel_index var vstack where zeros zeros_like"),
    *_in("numpy.testing", "assert_ assert_allclose assert_array_equal assert_equal"),
    *("glob.escape", "glob.glob", "glob.iglob", "hashlib", "itertools", "json.dumps", "json.loads", "math", "operator"),
    *("re", "nibabel.load", "functools.partial", "functools.reduce", "pathlib.Path", "pathlib.PurePath"),
    *("logging.debug", "logging.error", "logging.getLogger", "logging.info", "logging.warning"),
    *("os.R_OK", "os.W_OK", "os.access", "os.cpu_count", "os.environ.get", "os.getenv", "os.path", "os.sep"),
    *("sys.stderr", "sys.stdout"),
)

# They are judged by what is taken out of them; importing them does nothing.
MODULES = frozenset(".".join(name.split(".")[:end]) for name in PLAIN for end in range(1, name.count(".") + 1)) | {
    *("hashlib", "itertools", "math", "operator", "os.path", "re")
}

# What runs or loads code, writes files, or fetches them: inside the ones above, and yet not harmless; or on no list,
# and with a reason that says more than that.
RUNS = {
    "monai.apps": "downloads, or starts programs",
    "monai.auto3dseg": "loads pickled objects",
    "monai.bundle": "runs other configs, or downloads",
    "monai.data.CacheNTransDataset": "can load pickled objects",
    "monai.data.GDSDataset": "can load pickled objects",
    "monai.data.LMDBDataset": "can load pickled objects",
    "monai.data.PersistentDataset": "can load pickled objects",
    "monai.data.dataset.CacheNTransDataset": "can load pickled objects",
    "monai.data.dataset.GDSDataset": "can load pickled objects",
    "monai.data.dataset.LMDBDataset": "can load pickled objects",
    "monai.data.dataset.PersistentDataset": "can load pickled objects",
    "monai.data.load_net_with_metadata": "loads code",
    "monai.data.torchscript_utils": "loads code",
    "monai.handlers.mlflow_handler": "sends to a server",
    "monai.handlers.trt_handler": "runs a compiler",
    "monai.losses.perceptual": "downloads and runs code",
    "monai.networks.layers.gmm": "runs a compiler",
    "monai.networks.nets.cell_sam_wrapper": "can load pickled objects",
    "monai.networks.nets.efficientnet": "downloads weights, unless pretrained is false",
    "monai.networks.nets.transchex": "can download weights",
    "monai.networks.trt_compiler": "runs a compiler",
    "monai_iel.data.archive": "unpacks archives",
    "monai_iel.data.download": "downloads",
    "monai_iel.data.prepare": "downloads",
    "numpy.ctypeslib": "loads libraries",
    "numpy.f2py": "runs a compiler",
    "numpy.load": "can load pickled objects",
    "numpy.testing.measure": "evaluates text",
    "numpy.testing.runstring": "evaluates text",
    "operator.attrgetter": "takes attributes by their names",
    "operator.methodcaller": "calls methods by their names",
    "pathlib.Path.replace": "moves files",
    "torch.distributed.run": "starts processes",
    "torch.hub": "downloads and runs code",
    "torch.jit": "loads code",
    "torch.load": "can load pickled objects",
    "torch.multiprocessing": "starts processes",
    "torch.ops": "loads libraries",
    "torch.package": "loads code",
    "torch.save": "writes files",
    "torch.serialization": "can load pickled objects",
    "torch.utils.collect_env": "starts programs",
    "torch.utils.cpp_extension": "runs a compiler",
    "torch.utils.data.datapipes": "can load pickled objects",
}

# Of whatever object or module; several are other modules that a library has imported, such as torch.os.
RUNS_ANYWHERE = frozenset(
    """DiskSaver NumpyReader Popen attrgetter builtins check_call check_output chmod ctypes exec_module execl execv
    execve fork from_pretrained hardlink_to hub import_module importlib instantiate kill load_library load_module
    load_state_dict_from_url locate lchmod memmap methodcaller mkdir open optional_import os pickle popen pydoc rename
    rmdir rmtree run_cmd runpy runstring save_state savetxt shutil socket spawnl spawnv subprocess symlink_to sys system
    tofile touch unlink urllib urlopen urlretrieve write write_bytes write_text writelines""".split()  # noqa: SIM905
)
