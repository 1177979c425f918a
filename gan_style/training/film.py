"""A film of a training: its frames in a folder, and a GIF that is always whole."""

from pathlib import Path

import imageio.v3 as imageio
import numpy as np

from gan_style.utils.files import atomic_write
from gan_style.utils.images import read_image, save_image

_SECONDS = 8  # of the whole film, unless it has few frames
_MOST = 160  # frames in it: what shows in that time, and what memory holds
_LAST = 2000  # milliseconds that the last frame stays


class Film:
    """Keeps frames as PNG files, and writes them as a GIF of some seconds.

    A long training has more frames than those seconds can show: then the GIF takes
    some, evenly from the first to the last, so that it takes no more memory either.

    A restarted training goes on with the frames that it finds: those from its step on
    belong to a past that did not last, and go.

    Args:
        folder: the frames go to `folder/film`, the film is `folder/film.gif`.

    >>> import tempfile
    >>> import numpy as np
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     film = Film(folder)
    ...     for step in (0, 100, 200):
    ...         film.add(step, np.full((16, 16, 3), step, "uint8"))
    ...     imageio.improps(film.path).n_images
    3
    """

    def __init__(self, folder):
        self.folder = Path(folder) / "film"
        self.path = Path(folder) / "film.gif"
        self._written = 0

    def steps(self):
        """The steps of which there is a frame, in order."""
        names = [path.stem for path in self.folder.glob("*.png")]
        return sorted(int(name) for name in names if name.isdigit())

    def add(self, step, frame):
        """Adds the frame of a step, and brings the GIF up to date now and then.

        Args:
            step: integer.
            frame: uint8 `(height, width, 3)`.
        """
        for later in [s for s in self.steps() if s > step]:
            self._frame(later).unlink(missing_ok=True)
            self._written = 0
        save_image(self._frame(step), frame)
        # Every frame at first; as the film grows, writing it whole takes longer.
        count = len(self.steps())
        if count - self._written > count // 20:
            self.write()

    def write(self):
        """Writes the GIF from the frames of the newest one's size."""
        steps = self.steps()
        if not steps:
            return
        self._written = len(steps)
        shown = np.linspace(0, len(steps) - 1, min(len(steps), _MOST)).round()
        frames = [read_image(self._frame(steps[int(i)])) for i in shown]
        frames = [frame for frame in frames if frame.shape == frames[-1].shape]
        each = min(1000 * _SECONDS // len(frames), 400)
        durations = [each] * (len(frames) - 1) + [_LAST]
        with atomic_write(self.path) as partial:
            imageio.imwrite(
                partial,
                frames,
                extension=".gif",
                duration=durations if len(frames) > 1 else _LAST,
                loop=0,
            )

    def _frame(self, step):
        return self.folder / f"{step:08}.png"
