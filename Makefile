# `make book` and `make test` are all a newcomer needs: Python 3.11 to 3.13, git and make.
# SEQRL_SPEED=smoke|class|full sets the size of every computation.

PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null && echo $$p && break; done)
VENV   ?= .venv
PY     := $(VENV)/bin/python
STAMP  := $(VENV)/.installed
TRITON := triton==3.6.0
NBVAL  := --nbval-lax --nbval-current-env --nbval-cell-timeout=120 --nbval-kernel-startup-timeout=120 \
	--nbval-sanitize-with tests/nbval.cfg -p no:cacheprovider

.PHONY: book test env lint unit nbval kernels bench notebooks pack slides pdf offline site-test constraints ship results clean
.DEFAULT_GOAL := book

book: env  ## execute the pages and write _build/html/index.html
	SEQRL_SPEED=$${SEQRL_SPEED:-class} $(PY) book/_tools/build.py

test: env lint unit nbval  ## all tests, at smoke speed

env: $(STAMP)
$(STAMP): pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "seqrl needs Python 3.11, 3.12 or 3.13; found none. Try: make PYTHON=/path/to/python3.12"; exit 1; }
	test -x $(PY) || $(PYTHON) -m venv $(VENV)
	$(PY) -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[book,test,locomotion,cluster]"
	@touch $@

lint: env
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy

unit: env
	SEQRL_SPEED=$${SEQRL_SPEED:-smoke} $(PY) -m pytest -n 2 --dist loadfile --durations=5

nbval: env  ## run every generated notebook, cell by cell
	SEQRL_SPEED=$${SEQRL_SPEED:-smoke} MPLBACKEND=agg $(PY) -m pytest $(NBVAL) -n 2 --dist loadscope book solutions exercises

kernels: env  ## the Triton kernels' tests: on a GPU, or without one in Triton's interpreter
	@test "$$(uname -sm)" = "Linux x86_64" || { echo "Triton is for Linux on x86-64 only."; exit 1; }
	$(PY) -c 'import triton' 2>/dev/null \
	  || $(PY) -m pip install --quiet --disable-pip-version-check "$(TRITON)"
	$(PY) -c 'import sys, torch; sys.exit(not torch.cuda.is_available())' || export TRITON_INTERPRET=1; \
	  $(PY) -m pytest -rs tests/test_beam_kernels.py

bench: env  ## measured speeds, as ratios of one run
	$(PY) -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[bench]"
	$(PY) -m bench

notebooks: env  ## remake the .ipynb files from their MyST sources
	SEQRL_SPEED=smoke $(PY) book/_tools/notebooks.py --force

pack: env  ## an exercise sheet's notebooks, rubric and autograder in one zip: make pack CH=03
	@test -n "$(CH)" || { echo "Say which chapter: make pack CH=03"; exit 1; }
	$(PY) book/_tools/pack.py "$(CH)"

slides: env  ## a deck for each chapter of the built book, in _build/slides
	$(PY) book/_tools/slides.py

pdf: book  ## the whole book as one PDF; needs XeLaTeX and Chromium, see CONTRIBUTING.md
	SEQRL_SPEED=$${SEQRL_SPEED:-class} $(PY) book/_tools/pdf.py

offline: book  ## the built pages in one zip that opens from disk
	SEQRL_SPEED=$${SEQRL_SPEED:-class} $(PY) book/_tools/offline.py

site-test: env  ## drive Chromium over the built pages
	$(PY) book/_tools/site_test.py

constraints: env  ## write constraints.txt from the environment that stands
	$(PY) -m pip freeze --exclude-editable | grep -viE '^(seqrl|pip|setuptools|wheel|triton)\b' \
	  | sed -E 's/^(torch==[0-9.]+).*/\1/' | sort -f > constraints.tmp
	{ echo "# The whole environment in which the book and its tests pass; made by: make constraints"; \
	  cat constraints.tmp; } > constraints.txt; rm constraints.tmp

ship: env  ## copy seed 0 of a sweep's checkpoints into the package: make ship FROM=records
	@test -n "$(FROM)" || { echo "Say where the sweep is: make ship FROM=records"; exit 1; }
	$(PY) -m seqrl.shipped "$(FROM)"

results: env  ## remake every table and figure of chapters 6 and 7 that records make
	$(PY) -m seqrl.remake _build/results

clean:
	rm -rf _build
