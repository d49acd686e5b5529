"""Fetch the public originals that have a known checksum, through MONAI."""

from __future__ import annotations

import os
import tarfile
import tempfile
from difflib import get_close_matches
from http.client import HTTPException
from pathlib import Path

from monai.apps import DecathlonDataset, download_url, extractall

__all__ = ["DOWNLOADS", "download"]

DOWNLOADS: dict[str, tuple[str, str]] = {
    task: (url, DecathlonDataset.md5[task]) for task, url in DecathlonDataset.resource.items()
}
"""Name -> (address, md5), as MONAI carries them."""

_SHORT = {task.split("_", 1)[1].lower(): task for task in DOWNLOADS}  # "hippocampus" for "Task04_Hippocampus"

_BY_HAND = {
    "wbc": "https://github.com/zxaoyou/segmentation_WBC (folder 'Dataset 1')",
    "dsb2018": "https://bbbc.broadinstitute.org/BBBC038 (stage1_train)",
    "drive": "https://drive.grand-challenge.org (needs an account)",
    "refuge": "https://refuge.grand-challenge.org (needs an account)",
}


def download(name: str, folder: str | os.PathLike[str], *, progress: bool = True) -> Path:
    """Download and unpack a data set; a folder that is complete is left as it is.

    Args:
        name: a Decathlon task, ``"Task04_Hippocampus"`` or short ``"hippocampus"``.
        folder: where the task's folder goes.
        progress: show a progress bar.

    Returns:
        The folder of the data set.

    Raises:
        ValueError: an unknown name, or a data set for which no checksum is known (the message says where to get it).
        OSError: the download failed, what came has another checksum, or the archive cannot be unpacked.
    """
    if name.lower() in _BY_HAND:
        raise ValueError(
            f"{name!r} is not downloaded, since no checksum of its archive is published; get it by hand from "
            f"{_BY_HAND[name.lower()]} and give its folder to prepare_data.py"
        )
    task = _SHORT.get(name.lower(), name)
    if task not in DOWNLOADS:
        near = get_close_matches(name.lower(), [*_SHORT, *_BY_HAND], n=1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise ValueError(f"{name!r} is no data set that can be downloaded; {hint}there are {', '.join(sorted(_SHORT))}")
    url, md5 = DOWNLOADS[task]
    target = Path(folder).resolve() / task
    if (target / "dataset.json").is_file():
        return target
    if target.exists():
        raise FileExistsError(f"{target}: exists, but holds no dataset.json; remove it and download again")
    target.parent.mkdir(parents=True, exist_ok=True)
    # Unpacked beside the target and renamed, so that an interrupted run leaves no half of a data set.
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{task}.") as temporary:
        archive = Path(temporary) / url.rsplit("/", 1)[-1]
        try:
            # Not download_and_extract, which asks the server for the file's name, and needs the package requests.
            download_url(url=url, filepath=archive, hash_val=md5, hash_type="md5", progress=progress)
            extractall(filepath=archive, output_dir=temporary)
        # MONAI: a wrong checksum (HashCheckError) or a link in the archive is a ValueError, a refused download a
        # RuntimeError; urllib's own are OSErrors, but for HTTPException.
        except (OSError, HTTPException, RuntimeError, ValueError, tarfile.TarError) as error:
            reason = " ".join(str(error).split())  # tarfile's have several lines
            raise OSError(
                f"{task}: could not be downloaded and unpacked from {url} ({type(error).__name__}: {reason}); try "
                f"again, or fetch it by hand and unpack it to {target}"
            ) from error
        unpacked = Path(temporary) / task
        if not (unpacked / "dataset.json").is_file():
            raise OSError(f"{task}: the archive from {url} holds no {task}/dataset.json; unpack it by hand to {target}")
        os.replace(unpacked, target)
    return target
