"""The original CycleGAN datasets: downloaded once, and checked before unpacking."""

import shutil
from collections import namedtuple

from gan_style.utils.checks import check_choice, check_path
from gan_style.utils.download import DownloadFailed, cache_folder, download
from gan_style.utils.files import locked, name_file_in_errors

Dataset = namedtuple("Dataset", "size sha256")
# The licences are not stated, so the archives are never passed on.
SITE = "https://efrosgans.eecs.berkeley.edu/cyclegan/datasets"
# Named as their authors name them: A2B.
DATASETS = {
    "apple2orange": Dataset(
        78_456_409, "845a191e9af8926408ea597001cd03a452e3300a1f44a79fe329b3d59f6e3eb8"
    ),
    "horse2zebra": Dataset(
        116_867_962, "a74d9d392eecca9966b51287a76ca126af473d9de4f3e8fc0e9cda08fa1730a1"
    ),
    "monet2photo": Dataset(
        305_231_073, "88f91b00fc228f97c9411fbf1880ec1d119c98f1722e4cfcfaa2fb35fac05b04"
    ),
}


def fetch_dataset(name, cache=None):
    """Download a dataset of the CycleGAN authors, unless it is there already.

    An archive that was put into the cache by hand is used, if it is the right one.

    Args:
        name: one of `DATASETS`.
        cache: a folder; GAN_STYLE_CACHE or `~/.cache/gan_style` by default.

    Returns:
        The path of the folder with trainA, trainB, testA and testB.

    Raises:
        DownloadFailed: where nothing answers, or for another file than expected.
    """
    size, sha256 = DATASETS[check_choice("fetch_dataset", "name", name, DATASETS)]
    cache = check_path("fetch_dataset", "cache", cache or cache_folder())
    folder, archive = cache / name, cache / f"{name}.zip"
    partial = cache / f".{name}.unpacking"
    if folder.is_dir():
        return folder
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with locked(cache / f"{name}.lock"), name_file_in_errors(folder):
            if not folder.is_dir():
                download(f"{SITE}/{name}.zip", archive, f"sha256:{sha256}", size)
                try:
                    shutil.unpack_archive(archive, partial, "zip")
                    (partial / name).replace(folder)
                finally:
                    shutil.rmtree(partial, ignore_errors=True)
                archive.unlink()
    except (DownloadFailed, OSError) as error:
        raise DownloadFailed(
            f"fetch_dataset: name is {name!r}, but {str(error).rstrip('.')}. Use "
            "'samples/fruit', which needs no download, or a folder of images, or put "
            f"{name}.zip into {cache}."
        ) from error
    return folder
