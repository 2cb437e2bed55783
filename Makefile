# The targets that README.md speaks of. Everything is installed into .venv; nothing else is touched.
PYTHON ?= python3
BIN = .venv/bin

# Who may name a role when the service is run from here: this machine.
run demo: export CONTACTS_TRUSTED_PROXIES ?= 127.0.0.1,::1

.PHONY: run demo test load torture lint bench clean

# Serve contacts.db on http://127.0.0.1:8000
run: .venv/run
	$(BIN)/gunicorn

# Serve a sample directory (demo.db) on http://127.0.0.1:8000
demo: .venv/run
	CONTACTS_DATABASE=demo.db $(BIN)/flask sync User demo/users.csv
	CONTACTS_DATABASE=demo.db $(BIN)/flask sync Queue demo/queues.csv
	CONTACTS_DATABASE=demo.db $(BIN)/gunicorn

# Run the tests
test: .venv/dev
	$(BIN)/python -m pytest -m "not slow"

# Run the tests of a large sync beside the running service
load: .venv/dev
	$(BIN)/python -m pytest tests/test_sync_live.py

# Kill it, stop it, fill its disk, take its rights and cut its power: nothing acknowledged may be lost
torture: .venv/dev
	.ci/packages strace=strace setpriv=util-linux mount=mount
	$(BIN)/python -m pytest tests/test_torture_*.py

# Check style and types
lint: .venv/dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

# Measure how fast it is, as ratios to simpler programs in the same run
bench: .venv/dev
	PYTHONPATH=. $(BIN)/python bench/sync.py

# Remove what the targets above made, but for databases
clean:
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache

# The virtual environment, made again when the requirements change.
.venv/run: requirements.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check -r requirements.txt
	touch $@

.venv/dev: .venv/run requirements-dev.txt
	$(BIN)/pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	touch $@
