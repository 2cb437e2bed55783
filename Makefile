# The targets that README.md and CONTRIBUTING.md speak of. Everything is installed into .venv; nothing else is touched.
PYTHON ?= python3
BIN = .venv/bin

# Prints what a Python's compiled packages are for: a bundle is for one of these.
ABI = -c 'import sysconfig; print(sysconfig.get_config_var("SOABI"))'
VERSION = $(shell sed -n 's/^ *API_VERSION="\(.*\)".*/\1/p' app.py)

# Who may name a role when the service is run from here: this machine.
run demo: export CONTACTS_TRUSTED_PROXIES ?= 127.0.0.1,::1

.PHONY: run demo install bundle test docs load torture pressure attack ldap fuzz fuzz-long api browser deploy-test audit next lint bench bench-quick bench-million bench-sync bench-find clean

# Serve contacts.db on http://127.0.0.1:8000
run: .venv/run
	$(BIN)/gunicorn

# Serve a sample directory (demo.db) on http://127.0.0.1:8000
demo: .venv/run
	CONTACTS_DATABASE=demo.db $(BIN)/flask sync User demo/users.csv
	CONTACTS_DATABASE=demo.db $(BIN)/flask sync Queue demo/queues.csv
	CONTACTS_DATABASE=demo.db $(BIN)/gunicorn

# Install the packages that the service runs on, for every user of this machine
install:
	umask 022 && $(MAKE) .venv/run

# Make one archive of what is committed and of the packages that it runs on, for machines without network
bundle: .venv/run
	rm -rf dist
	$(BIN)/pip wheel --quiet --disable-pip-version-check --wheel-dir dist/wheels -r requirements.txt
	$(BIN)/python $(ABI) > dist/wheels/ABI
	git -c tar.umask=0022 archive --output=dist/contacts-$(VERSION)-$$(cat dist/wheels/ABI).tar.gz \
		--prefix=contacts-$(VERSION)/wheels/ $$(printf -- '--add-file=%s ' dist/wheels/*) \
		--prefix=contacts-$(VERSION)/ HEAD
	cd dist && sha256sum *.tar.gz > contacts-$(VERSION)-$$(cat wheels/ABI).tar.gz.sha256

# Run the tests, on all cores
test: .venv/dev
	$(BIN)/python -m pytest -m "not slow" --numprocesses auto

# Run the commands of README.md and docs/, and compare what they print
docs: .venv/dev
	$(BIN)/python -m pytest tests/test_docs.py

# Run the tests of a large sync beside the running service
load: .venv/dev
	$(BIN)/python -m pytest tests/test_sync_live.py

# Kill it, stop it, fill its disk, take its rights and cut its power: nothing acknowledged may be lost
torture: .venv/dev
	.ci/packages strace=strace setpriv=util-linux mount=mount
	$(BIN)/python -m pytest tests/test_torture_*.py

# Put it under pressure: slow downloads, hostile searches, locks, odd text, full disks, wrong clocks, a long mixed load
pressure: .venv/dev
	.ci/packages nginx=nginx-light openssl=openssl mount=mount cc=gcc /usr/include/stdio.h=libc6-dev
	$(BIN)/python -m pytest tests/test_pressure.py

# Attack the service, directly and through nginx
attack: .venv/dev
	.ci/packages nginx=nginx-light openssl=openssl
	$(BIN)/python -m pytest tests/test_attack.py

# Read a real LDAP server
ldap: .venv/dev
	.ci/packages slapd=slapd ldapsearch=ldap-utils openssl=openssl
	$(BIN)/python -m pytest tests/test_ldap.py

# Compare the answers to some thousands of made-up queries with what the contract says
fuzz: .venv/dev
	$(BIN)/python -m pytest tests/test_fuzz.py

# The same with a hundred thousand, which takes long
fuzz-long: .venv/dev
	FUZZ_DIRECTORIES=10000 $(BIN)/python -m pytest tests/test_fuzz.py

# Look for known holes in the packages, and for dangerous lines in the code
audit: .venv/audit
	$(BIN)/bandit --quiet --configfile pyproject.toml --recursive app.py wsgi.py gunicorn.conf.py contacts
	$(BIN)/python .ci/audit

# Run the tests of openapi.json: a linter, generated requests, and generated clients (Python, TypeScript, Java)
api: .venv/api tests/clients/node_modules
	.ci/packages javac=openjdk-17-jdk-headless
	$(BIN)/python -m pytest tests/test_api.py

# Run the tests of the page and of /docs in a browser
browser: .venv/api
	.ci/packages chromium=chromium chromedriver=chromium-driver nginx=nginx-light
	$(BIN)/python -m pytest tests/test_browser.py tests/test_page.py

# Run the tests of deploy/, on a machine of its own
deploy-test: .venv/dev
	.ci/packages systemd-nspawn=systemd-container dbus-daemon=dbus nginx=nginx openssl=openssl /usr/share/doc/python3-venv=python3-venv
	$(BIN)/python -m pytest tests/test_deploy.py tests/test_sign_on.py

# Run the tests on the newest releases of all packages, and on gunicorn's last three minor ones; not part of .ci/run
next:
	PYTHON=$(PYTHON) .ci/next

# Check style and types
lint: .venv/dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

# Measure its throughput beside a bare Flask view, the limit and its peers, and plot it
bench: .venv/dev bench/.venv/peers bench/peers/node_modules
	$(BIN)/python -m bench.throughput --peers --plot bench/requests.svg

# See that the benchmarks work: a little of each, without the peers
bench-quick: .venv/dev
	.ci/packages wrk=wrk
	$(BIN)/python -m bench.throughput --contacts 1000 --whole 5000 --rounds 1 --seconds 1
	$(BIN)/python -m bench.million 1000
	$(BIN)/python -m bench.sync --rows 1000

# Measure how long lists take over 10,000, 100,000 and 1,000,000 contacts (made once, in bench/data)
bench-million: .venv/dev
	$(BIN)/python -m bench.million

# Measure how long a directory sync takes, beside plain inserts
bench-sync: .venv/dev
	$(BIN)/python -m bench.sync

# Count the keystrokes until q finds somebody, beside the best order, and who is found in spite of slips
bench-find: .venv/dev
	$(BIN)/python -m bench.find

# Remove what the targets above made, but for databases
clean:
	rm -rf .venv .venv-next dist .mypy_cache .pytest_cache .ruff_cache bench/.venv bench/data bench/peers/node_modules
	rm -rf tests/clients/node_modules tests/screenshots

# The virtual environment, made again when the requirements change. A bundle brings the packages along, in wheels/.
.venv/run: requirements.txt
	@test ! -e wheels || test "$$(cat wheels/ABI)" = "$$($(PYTHON) $(ABI))" || { echo "This bundle is for" \
		"$$(cat wheels/ABI), and $(PYTHON) is $$($(PYTHON) $(ABI)): say PYTHON=... or make another bundle" >&2; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check -r requirements.txt \
		$(if $(wildcard wheels),--isolated --no-index --find-links wheels)
	touch $@

.venv/dev: .venv/run requirements-dev.txt
	$(BIN)/pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	touch $@

# What the service is measured beside, and with.
bench/.venv/peers: bench/requirements.txt
	.ci/packages wrk=wrk
	$(PYTHON) -m venv bench/.venv
	bench/.venv/bin/pip install --quiet --disable-pip-version-check -r bench/requirements.txt
	touch $@

bench/peers/node_modules: bench/peers/package-lock.json
	.ci/packages node=nodejs npm=npm
	npm ci --prefix bench/peers --no-audit --no-fund --loglevel=error
	touch $@

.venv/audit: .venv/dev requirements-audit.txt
	$(BIN)/pip install --quiet --disable-pip-version-check -r requirements-audit.txt
	touch $@

# What the tests of the API's document need, in the same environment.
.venv/api: .venv/dev requirements-api.txt
	$(BIN)/pip install --quiet --disable-pip-version-check -r requirements-api.txt
	touch $@

tests/clients/node_modules: tests/clients/package.json tests/clients/package-lock.json
	.ci/packages node=nodejs npm=npm
	npm ci --prefix tests/clients --no-audit --no-fund --loglevel=error
	touch $@
