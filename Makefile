# Two commands do everything on a machine that has Python (3.10 to 3.13) and make:
#   make notebooks    installs, runs the chapters on built-in images, into outputs/
#   make test         installs, then lint, unit tests, doctests and the notebooks
# and two more: make lint, make benchmark. Without make: see README.md.

PYTHON ?= python3
VENV ?= .venv
OUTPUTS ?= outputs
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
SPEED := benchmarks/speed

# Below 3, TensorFlow reports a missing GPU as a CUDA error.
export TF_CPP_MIN_LOG_LEVEL ?= 3

.PHONY: install notebooks test lint benchmark

install: $(INSTALLED)

$(INSTALLED): requirements.txt constraints.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 13))' \
	|| { echo "TensorFlow needs Python 3.10 to 3.13, and $(PYTHON) is $$($(PYTHON) -V 2>&1)." \
	"Name another: make PYTHON=python3.12 ..."; exit 1; }
	@echo "Installing into $(VENV): 2.7 GB, some minutes."
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --upgrade pip
	PYTHONWARNINGS=ignore $(BIN)/python -m pip install --quiet --constraint constraints.txt --requirement requirements.txt
	@touch $@

notebooks: $(INSTALLED)
	@GAN_STYLE_OUTPUTS="$(abspath $(OUTPUTS))" $(BIN)/python notebooks/run.py

# Two files at a time, as most tests leave a core idle. Without it: pytest --nbval.
test: lint
	$(BIN)/python -m pytest --nbval --numprocesses 2 --dist loadfile

lint: $(INSTALLED)
	$(BIN)/python -m ruff check
	$(BIN)/python -m ruff format --check

benchmark: $(INSTALLED)
	$(BIN)/python $(SPEED)/cyclegan.py --rounds 5
	$(BIN)/python $(SPEED)/pipeline.py --rounds 3
	$(BIN)/python $(SPEED)/translate.py --count 10
