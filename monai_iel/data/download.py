"""Fetch the public originals that have known checksums, through MONAI, by HTTPS."""

from __future__ import annotations

import hashlib
import os
import tarfile
import tempfile
from difflib import get_close_matches
from http.client import HTTPException
from pathlib import Path
from typing import NamedTuple

from monai.apps import DecathlonDataset, download_url

from monai_iel.data.archive import unpack

__all__ = ["DOWNLOADS", "Download", "download"]

# Of the archives at MONAI's addresses; no publisher states them. They stand in several public projects that have
# fetched the archives, beside the md5 that MONAI carries; an archive must have both.
_SHA256 = {
    "Task01_BrainTumour": "d423911308d2ae5396d9c6bf4fad2b68cfde2dd09044269da9c0d639c22753c4",
    "Task02_Heart": "4277dc6dfe100142aa8060e895f6ff0f81c5b733703ea250bd294df8f820bcba",
    "Task03_Liver": "4007d9db1acda850d57a6ceb2b3998b7a0d43f8ad5a3f740dc38bc0cb8b7a2c5",
    "Task04_Hippocampus": "282d808a3e84e5a52f090d9dd4c0b0057b94a6bd51ad41569aef5ff303287771",
    "Task05_Prostate": "8cbbd7147691109b880ff8774eb6ab26704b1be0935482e7996a36a4ed31ec79",
    "Task06_Lung": "f782cd09da9cf7a3128475d4a53650d371db10f0427aa76e166fccfcb2654161",
    "Task07_Pancreas": "e40181a0229ca85c2588d6ebb90fa6674f84eb1e66f0f968cda088d011769732",
    "Task08_HepaticVessel": "ee880799f12e3b6e1ef2f8645f6626c5b39de77a4f1eae6f496c25fbf306ba04",
    "Task09_Spleen": "dfeba347daae4fb08c38f4d243ab606b28b91b206ffc445ec55c35489fa65e60",
    "Task10_Colon": "a26bfd23faf2de703f5a51a262cd4e2b9774c47e7fb86f0e0a854f8446ec2325",
}


class Download(NamedTuple):
    """A file that can be fetched: its address (HTTPS), and the checksums that it must have."""

    url: str
    sha256: str
    md5: str


DOWNLOADS: dict[str, Download] = {
    task: Download(url, _SHA256[task], DecathlonDataset.md5[task])
    for task, url in DecathlonDataset.resource.items()
    if task in _SHA256
}
"""Name -> address and checksums."""

_SHORT = {task.split("_", 1)[1].lower(): task for task in DOWNLOADS}  # "hippocampus" for "Task04_Hippocampus"

_BY_HAND = {
    "wbc": "https://github.com/zxaoyou/segmentation_WBC (folder 'Dataset 1')",
    "dsb2018": "https://bbbc.broadinstitute.org/BBBC038 (stage1_train)",
    "drive": "https://drive.grand-challenge.org (needs an account)",
    "refuge": "https://refuge.grand-challenge.org (needs an account)",
}


def download(name: str, folder: str | os.PathLike[str], *, progress: bool = True) -> Path:
    """Download and unpack a data set; a folder that is complete is left as it is.

    Nothing is unpacked before both checksums are right, nor from an archive that `check_archive` refuses.

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
    url, sha256, md5 = DOWNLOADS[task]
    target = Path(folder).resolve() / task
    if (target / "dataset.json").is_file():
        return target
    if target.exists():
        raise FileExistsError(f"{target}: exists, but holds no dataset.json; remove it and download again")
    target.parent.mkdir(parents=True, exist_ok=True)
    # Unpacked beside the target and renamed, so that an interrupted run leaves no half of a data set.
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{task}.") as temporary:
        archive, unpacked = Path(temporary) / url.rsplit("/", 1)[-1], Path(temporary) / "unpacked"
        try:
            # Not download_and_extract, which asks the server for the file's name, and needs the package requests.
            download_url(url=url, filepath=archive, hash_val=sha256, hash_type="sha256", progress=progress)
            with archive.open("rb") as stream:
                found = hashlib.file_digest(stream, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
            if found != md5:
                raise ValueError(f"the md5 is {found}, expected {md5}")
            unpack(archive, unpacked)
        # A wrong checksum (HashCheckError) or archive is a ValueError, a download that is refused a RuntimeError;
        # urllib's own are OSErrors, but for HTTPException.
        except (OSError, HTTPException, RuntimeError, ValueError, tarfile.TarError) as error:
            reason = " ".join(str(error).split())  # tarfile's have several lines
            raise OSError(
                f"{task}: could not be downloaded and unpacked from {url} ({type(error).__name__}: {reason}); try "
                f"again, or fetch it by hand and unpack it to {target}"
            ) from error
        if not (unpacked / task / "dataset.json").is_file():
            raise OSError(f"{task}: the archive from {url} holds no {task}/dataset.json; unpack it by hand to {target}")
        os.replace(unpacked / task, target)
    return target
