# Two commands do everything on a machine that has Python (3.10 to 3.13) and make:
#   make notebooks    installs, runs the chapters on built-in images, into outputs/
#   make test         installs, then lint, unit tests, doctests and the notebooks
# and three more: make lint, make benchmark, make book (one site to read, build/book/).
# Without make: see README.md.

PYTHON ?= python3
VENV ?= .venv
OUTPUTS ?= outputs
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
BOOK_INSTALLED := $(VENV)/.book
SPEED := benchmarks/speed

# Below 3, TensorFlow reports a missing GPU as a CUDA error.
export TF_CPP_MIN_LOG_LEVEL ?= 3

.PHONY: install notebooks test lint benchmark book

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

# Nothing is executed. -W: a broken link, or a docstring that cannot be read, is an error.
book: $(BOOK_INSTALLED)
	$(BIN)/python -m sphinx -q -W --keep-going --conf-dir docs/book --doctree-dir build/doctrees . build/book
	@echo "Open build/book/index.html in a browser."

$(BOOK_INSTALLED): $(INSTALLED)
	@$(BIN)/python -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	|| { echo "The book needs Python 3.11 or newer, and $(BIN)/python is older."; exit 1; }
	@echo "Installing what builds the book into $(VENV): 100 MB."
	PYTHONWARNINGS=ignore $(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[book]"
	@touch $@
