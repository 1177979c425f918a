"""Files from strangers: none that needs more memory than it has bytes."""

import numpy as np
import pytest

from gan_style.utils.files import check_stored


def test_a_stored_archive_passes_and_a_compressed_one_does_not(tmp_path):
    np.savez(tmp_path / "stored.npz", x=np.zeros(9000))
    check_stored(tmp_path / "stored.npz")
    np.savez_compressed(tmp_path / "compressed.npz", x=np.zeros(9000))
    with pytest.raises(ValueError, match="which no file of its kind does"):
        check_stored(tmp_path / "compressed.npz")


@pytest.mark.parametrize("content", [b"", b"no archive", b"PK\5\6" + bytes(9)])
def test_what_is_no_archive_is_refused(tmp_path, content):
    (tmp_path / "a.npz").write_bytes(content)
    with pytest.raises(ValueError, match=r"a\.npz: is damaged, or of another kind"):
        check_stored(tmp_path / "a.npz")
