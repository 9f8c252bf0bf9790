# make demo    a recogniser from synthetic voices, from nothing, in a few minutes
# make test    the tests
# make lint    style and types
# make bench   the measured claims, on the recordings in data/speech_commands or made-up ones
# make model   the recogniser that comes with the package, anew from data/speech_commands and
#              data/negative_speech
# make lock    renew constraints.txt from what is installed

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
DEMO := runs/demo

.PHONY: demo test lint bench model lock clean-demo clean-model

# One environment for everything; made anew when the dependencies change.
$(VENV)/.installed: pyproject.toml setup.py constraints.txt speechrec/_native.c speechrec/_mel_energies.h
	@$(PYTHON) -c 'import sys; sys.exit(0 if (3, 11) <= sys.version_info < (3, 14) else \
	    "expected Python 3.11 to 3.13, got " + sys.version.split()[0] + "; name one: make PYTHON=python3.12")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) install --quiet --upgrade --constraint constraints.txt pip
	@# What does not compile must not leave its forerunner.
	rm -f speechrec/_native*.so speechrec/_native*.pyd
	$(PIP) install --quiet --constraint constraints.txt --editable '.[train,synth,synth-gpl]' --group dev
	touch $@

demo: $(VENV)/.installed clean-demo
	@echo
	@echo "== These voices are SYNTHETIC. The figures below are about speech synthesisers, not people."
	$(BIN)/speechrec synth --voices 100 --out $(DEMO)/recordings
	$(BIN)/speechrec extract $(DEMO)/recordings --out $(DEMO)/features
	$(BIN)/speechrec train --features $(DEMO)/features --out $(DEMO)/commands --config configs/demo.toml
	$(BIN)/speechrec evaluate --features $(DEMO)/features --model $(DEMO)/commands
	$(BIN)/speechrec predict --model $(DEMO)/commands --top 3 \
	    $(DEMO)/recordings/yes/pico-en-us-000_nohash_0.wav \
	    $(DEMO)/recordings/stop/pico-en-gb-001_nohash_1.wav
	@echo
	@echo "== Synthetic voices all the way: record your own words before you trust a recogniser."

# Only ever removes what an earlier demo made.
clean-demo:
	@rm -rf $(DEMO)

test: $(VENV)/.installed
	$(BIN)/python -m pytest

lint: $(VENV)/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(VENV)/.installed
	$(BIN)/python scripts/bench.py --out runs/bench.json

# Some three hours; goes on where it was stopped, `make clean-model` begins anew. What it trained on
# stays in runs/. Streams ask two teachers, which also learn from synthetic voices and what these
# say besides; the small network has no room for that. The second learns what the ends of a
# stream's windows look like.
EXTRACT := $(BIN)/speechrec extract data/speech_commands --config configs/commands-en.toml \
	--unknown runs/mined
AN4_SPEAKER := '^[^-]+-([^-]+)-'
VOICES := $(BIN)/speechrec synth --voices 150 --others ''
PHRASES := 36000
FOREIGN := 28000
TEACHER := $(BIN)/speechrec train --only-teacher --resume --seed 1 --set teacher.train.epochs=3 \
	--set 'teacher.model.stem_strides=[2,1]' \
	--features runs/features-voices
model: $(VENV)/.installed runs/mined runs/features-voices runs/voices-held-out
	$(TEACHER) --out runs/teacher-0
	$(TEACHER) --out runs/teacher-1 --set teacher.train.mirror_share=0.5
	$(EXTRACT) --out runs/features
	$(BIN)/speechrec train --resume --features runs/features --out runs/commands-en \
	    --teacher runs/teacher-0 --teacher runs/teacher-1 --set export.int8=true
	$(BIN)/speechrec calibrate runs/commands-en --negatives runs/voices-held-out/_unknown_
	$(BIN)/speechrec mix --features runs/features --negatives data/negative_speech \
	    --speaker-pattern $(AN4_SPEAKER) --out runs/mix
	$(BIN)/python scripts/model_card.py runs/commands-en/commands-en.speechrec \
	    --besides "the network for streams: synthetic voices (SVOX Pico, eSpeak NG, Hibari), \
	$(PHRASES) English phrases, with many near-misses of commands, and $(FOREIGN) foreign ones"

# Folders that are there as a whole or not at all.
runs/mined: | $(VENV)/.installed
	$(BIN)/speechrec mine data/negative_speech --part training --least 0 \
	    --speaker-pattern $(AN4_SPEAKER) --model commands-en --out $@
runs/voices: | $(VENV)/.installed
	$(VOICES) --seed 1 --phrases $(PHRASES) --near-misses 0.5 --foreign-phrases $(FOREIGN) \
	    --in-turn 4 --out $@
runs/features-voices: | runs/mined runs/voices
	$(EXTRACT) --also runs/voices --out $@
runs/voices-held-out: | $(VENV)/.installed
	$(VOICES) --held-out --phrases 30000 --near-misses 0.3 --foreign-phrases 24000 --in-turn 3 --out $@

# The rest is used again only where nothing that it was made of has changed.
clean-model:
	rm -rf runs/mined runs/voices runs/features-voices runs/voices-held-out

# Names and versions only: no index address gets into the file.
lock: $(VENV)/.installed
	$(BIN)/python -m pip --disable-pip-version-check freeze --all --exclude-editable > constraints.txt
