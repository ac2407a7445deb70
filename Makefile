# Two commands for users: `make demo` and `make test`. Both install what is missing.

PYTHON ?= /usr/bin/python3
VENV := .venv
BIN := $(VENV)/bin
SHELL_VENV := .venv-shell
NATIVE_VENV := .venv-native
SOURCES := $(shell find sdnblock p4/compiled -type f ! -name '*.pyc')

BASE_PACKAGES := python3 python3-venv libbpf1 iproute2 procps util-linux ethtool redis-server redis-tools
DEMO_PACKAGES := $(BASE_PACKAGES) kamailio sip-tester sipvicious
NATIVE_PACKAGES := gcc libc6-dev python3-dev
TEST_PACKAGES := $(DEMO_PACKAGES) $(NATIVE_PACKAGES) clang llvm libbpf-dev linux-libc-dev tcpdump openssl nftables \
    mininet iputils-ping openvswitch-switch fail2ban python3-pyinotify kamailio-redis-modules

.PHONY: native test-native fuzz-native framing simulation help demo test test-bmv2 fuzz fuzz-parsers bench compare attacks lab p4 p4-tofino xdp lint packages clean

help:
	@echo 'make demo       the whole loop on real traffic (root)'
	@echo 'make test       everything that is tested (root)'
	@echo 'make bench      the figures of the README, measured here (root)'
	@echo 'make compare    beside fail2ban and pike, on the same traffic, three times each (root)'
	@echo 'make native     detection as machine code, nearly twice as fast: .venv-native/bin/sdnblock'
	@echo 'make framing    a million requests in the names of registered peers (root)'
	@echo 'make simulation honest people for 100,000 source-days'
	@echo 'make attacks    real attacks on a real SIP server, and what leaked (root)'
	@echo 'make lab        the Mininet lab: every attack, switch and topology, 54 labs (root)'
	@echo 'make test-bmv2  against a real BMv2: needs simple_switch_grpc on the PATH (root)'
	@echo 'make fuzz       the property tests with new seeds (root)'
	@echo 'make fuzz-parsers  coverage-guided fuzzing of all parsers: an hour'
	@echo 'make fuzz-native  the parsers as machine code, with damaged inputs: ten minutes'
	@echo 'make p4         rebuild p4/compiled from the P4 program: needs p4c'
	@echo 'make p4-tofino  the same for a Tofino (docs/tofino.md): needs p4c-barefoot and bfas'
	@echo 'make xdp        rebuild p4/compiled from the XDP program: needs clang'

demo: $(VENV)/installed
	@demo/packages.sh $(DEMO_PACKAGES)
	$(BIN)/python -m demo

# The machine code is built and tested beside the rest, at the lowest priority. (Not by $$(MAKE):
# with that, make runs the line even when it is only to print it.)
test: $(VENV)/installed-dev $(SHELL_VENV)/installed lint
	@tests/beside.sh build/native.log 'make test-native' $(BIN)/python -m pytest -m 'not bmv2'

# What detects, compiled by mypyc (three minutes): in a copy, for Python prefers what it compiled
# to the sources beside it.
native: $(NATIVE_VENV)/installed
	@echo 'detection is machine code in $(NATIVE_VENV)/bin/sdnblock'

test-native: $(NATIVE_VENV)/installed-dev
	$(NATIVE_VENV)/bin/python bench/native.py pytest -p no:cacheprovider $(NATIVE_TESTS)

# Of what was compiled: those that need neither root nor Redis.
NATIVE_TESTS := $(addprefix tests/test_,$(addsuffix .py,native replay capture config corpus sip \
    sip_stream tcp hep hep_intake transactions detect message_detectors identity_detectors \
    brute_force flood fraud distributed hard_negatives numbers memory told bindings simulation))

test-bmv2: $(VENV)/installed-dev
	$(BIN)/python -m pytest -m bmv2

# The property tests with new seeds (and more examples, where a test does not say how many).
fuzz: $(VENV)/installed-dev
	SDNBLOCK_FUZZ=1 $(BIN)/python -m pytest -m 'hypothesis and not bmv2'

# Coverage-guided, by atheris: ten million inputs or an hour, all parsers together.
fuzz-parsers: $(VENV)/installed-dev
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[fuzz]'
	$(BIN)/python -m tests.fuzzing

# What was compiled, which atheris cannot look into: ten minutes of damaged inputs.
fuzz-native: $(NATIVE_VENV)/installed-dev
	$(NATIVE_VENV)/bin/python bench/native.py tests.fuzzing.blind 600

lint: $(VENV)/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# A million requests forged in the names of a thousand registered peers (minutes; root).
framing: $(VENV)/installed-dev
	$(BIN)/python -m bench.framing

# A hundred thousand honest source-days through the detectors: SIZE=..., SEED=... (minutes).
simulation: $(VENV)/installed-dev
	$(BIN)/python -m bench.simulation --size $(or $(SIZE),100000) --seed $(or $(SEED),1)

# The attacks of the README's table, one after the other (minutes).
attacks: $(VENV)/installed-dev
	$(BIN)/python -m bench.attacks --slow

# Where there is no BMv2: make lab LAB='--switch ovs'.
LAB ?= --switch all
lab: $(VENV)/installed-dev
	$(PYTHON) mininet/lab.py $(LAB) --topology all --attack all

bench: $(VENV)/installed-dev $(NATIVE_VENV)/installed
	$(BIN)/python -m bench

compare: $(VENV)/installed-dev
	$(BIN)/python -m bench.compare

p4:
	p4/build.sh

p4-tofino:
	p4/tofino/build.sh

xdp:
	p4/xdp/build.sh

packages:
	@demo/packages.sh $(TEST_PACKAGES)

$(VENV)/installed: pyproject.toml
	@demo/packages.sh $(BASE_PACKAGES)
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --editable .
	touch $@

$(VENV)/installed-dev: pyproject.toml
	@demo/packages.sh $(TEST_PACKAGES)
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[dev]'
	touch $(VENV)/installed $@

$(NATIVE_VENV)/installed: pyproject.toml $(SOURCES)
	@demo/packages.sh $(BASE_PACKAGES) $(NATIVE_PACKAGES)
	rm -rf build/native && mkdir -p build/native/p4
	cp -R sdnblock pyproject.toml README.md build/native/ && cp -R p4/compiled build/native/p4/
	test -x $(NATIVE_VENV)/bin/python || $(PYTHON) -m venv $(NATIVE_VENV)
	HATCH_BUILD_HOOK_ENABLE_MYPYC=1 $(NATIVE_VENV)/bin/pip install --quiet --disable-pip-version-check build/native
	touch $@

$(NATIVE_VENV)/installed-dev: $(NATIVE_VENV)/installed
	$(NATIVE_VENV)/bin/pip install --quiet --disable-pip-version-check pytest pytest-asyncio pytest-timeout hypothesis
	touch $@

# p4runtime-shell pins a protobuf of its own: it lives in an environment of its own.
$(SHELL_VENV)/installed: | $(VENV)/installed-dev
	$(PYTHON) -m venv $(SHELL_VENV)
	$(SHELL_VENV)/bin/pip install --quiet --disable-pip-version-check p4runtime-shell==0.0.6 'setuptools<81'
	touch $@

clean:
	rm -rf $(VENV) $(SHELL_VENV) $(NATIVE_VENV) build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
