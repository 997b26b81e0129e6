# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)

# The testbed to work on, and for `make ssh` the guest in it (default: its only one).
INVENTORY ?= inventories/emulated
GUEST ?=
PYTHON ?= python3

VENV := .venv
BIN := $(VENV)/bin
# ansible-core insists on UTF-8, which a bare system does not set.
export LC_ALL := C.UTF-8
export PYTHON
export MOLECULE_GLOB := molecule/*/molecule.yml

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help venv venv-dev pipeline ssh down build test check unit fleet explore lint docs changelog sanity importer molecule scenarios shared benchmarks
.PHONY: lock clean

help:
	@sed -n 's/^\([a-z-]*\):.*## /  make \1\t/p' $(MAKEFILE_LIST) | expand -t 20

# Use

venv: $(VENV)/runtime.stamp ## the virtual environment .venv, as far as running playbooks needs it

pipeline: $(VENV)/runtime.stamp ## bring the emulated host up, provision it, print the report, leave it running
	@PYTHONPATH=$(VENV)/collections exec $(BIN)/python scripts/pipeline.py $(INVENTORY)

ssh: $(VENV)/runtime.stamp ## log in to a running guest (GUEST=name)
	@$(BIN)/python scripts/ssh.py $(INVENTORY) $(GUEST)

down: $(VENV)/runtime.stamp ## remove the emulated host
	$(BIN)/ansible-playbook -i $(INVENTORY) memlab.testbed.testbed_down

build: $(VENV)/runtime.stamp ## the collection artifact, in the current directory
	$(BIN)/ansible-galaxy collection build --force

# Tests

test: check ## all tests
	@rm -f tests/output/scenario-*
	@$(MAKE) --no-print-directory --keep-going --jobs=2 --output-sync=target scenario-default importer
	@$(MAKE) --no-print-directory scenarios BESIDE="fleet sanity"

check: $(VENV)/dev.stamp $(VENV)/tools.stamp $(VENV)/readers.stamp ## the fast tests
	@$(MAKE) --no-print-directory --jobs=2 --output-sync=target unit lint docs changelog

unit: $(VENV)/dev.stamp $(VENV)/tools.stamp $(VENV)/readers.stamp
	$(BIN)/pytest --numprocesses=auto --dist=worksteal

fleet: $(VENV)/dev.stamp $(VENV)/readers.stamp ## rollouts and other playbooks on simulated hosts
	$(BIN)/pytest tests/fleet

explore: $(VENV)/dev.stamp $(VENV)/tools.stamp $(VENV)/readers.stamp ## the fast tests' generated cases, new ones each time
	EXPLORE=1 $(BIN)/pytest -m hypothesis

lint: $(VENV)/dev.stamp
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/ansible-lint --offline

docs: $(VENV)/dev.stamp
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/antsibull-docs lint-collection-docs --plugin-docs .

changelog: $(VENV)/dev.stamp
	$(BIN)/antsibull-changelog lint

sanity: $(VENV)/dev.stamp ## ansible-test sanity, all tests
	scripts/sanity.sh

importer: $(VENV)/runtime.stamp $(VENV)/importer.stamp ## galaxy-importer, a warning being a failure
	scripts/importer.sh

# Two at a time: a guest under TCG fills one core, and its tests mostly wait for it. The default one comes before the others: it builds the image that most of
# them start from. Those without a testbed of their own share its guest, so they are one job, one after the other. The longest come first, so that none of them
# runs alone at the end; what takes no guest fills the gaps.
LONGEST := kernel rollout rollback devices_next devices
SCENARIOS := $(patsubst molecule/%/molecule.yml,%,$(wildcard molecule/*/molecule.yml))
OWN := $(patsubst molecule/%/testbed.qemu.yml,%,$(wildcard molecule/*/testbed.qemu.yml))
SCENARIOS_AT_ONCE ?= 2

molecule: $(VENV)/dev.stamp $(VENV)/tools.stamp ## all scenarios, on guests under QEMU; one of them: make scenario-NAME
	@rm -f tests/output/scenario-*
	@$(MAKE) --no-print-directory scenario-default
	@$(MAKE) --no-print-directory scenarios

scenarios: $(VENV)/dev.stamp $(VENV)/tools.stamp
	@$(MAKE) --no-print-directory --keep-going --jobs=$(SCENARIOS_AT_ONCE) --output-sync=target \
	    $(addprefix scenario-,$(LONGEST)) $(BESIDE) shared $(addprefix scenario-,$(filter-out default $(LONGEST),$(OWN))); \
	status=$$?; scripts/scenario.sh closing; exit $$status

shared: $(VENV)/dev.stamp $(VENV)/tools.stamp
	@$(MAKE) --no-print-directory --keep-going --jobs=1 $(addprefix scenario-,$(filter-out $(OWN),$(SCENARIOS)))

scenario-%: $(VENV)/dev.stamp $(VENV)/tools.stamp
	$(info scenario $* begins)@scripts/scenario.sh test $*

benchmarks: ## the command of each benchmark
	@grep -rhs '^# Run: ' benchmarks | sed 's/^# Run: /  /'

# Set-up

venv-dev: $(VENV)/dev.stamp

$(VENV)/runtime.stamp: requirements.txt scripts/venv.sh
	@scripts/venv.sh $(VENV) requirements.txt $@
	@mkdir -p $(VENV)/collections/ansible_collections/memlab
	@ln -sfn ../../../.. $(VENV)/collections/ansible_collections/memlab/testbed

$(VENV)/dev.stamp: requirements-dev.txt $(VENV)/runtime.stamp
	@scripts/venv.sh $(VENV) requirements-dev.txt $@

# QEMU and what builds images: unit tests start QEMU, too.
$(VENV)/tools.stamp: $(VENV)/runtime.stamp plugins/module_utils/emulation/tools.py
	$(BIN)/ansible-playbook -i localhost, memlab.testbed.controller
	@touch $@

# What reads the archives, scripts and configurations that the project writes, in the unit tests, and an sshd for those that run their own; the system's stays
# off.
$(VENV)/readers.stamp: | $(VENV)/runtime.stamp
	@[ -x /usr/sbin/sshd ] || { [ ! -d /run/systemd/system ] || systemctl mask ssh.service ssh.socket; scripts/apt-install.sh openssh-server; }
	@command -v cpio >/dev/null && command -v busybox >/dev/null && command -v kconfig-conf >/dev/null || \
	    scripts/apt-install.sh cpio busybox kconfig-frontends-nox
	@touch $@

$(VENV)/importer.stamp: requirements-importer.txt $(VENV)/runtime.stamp
	@scripts/venv.sh $(VENV)/importer requirements-importer.txt $@

$(VENV)/benchmarks.stamp: requirements-benchmarks.txt $(VENV)/runtime.stamp
	@scripts/venv.sh $(VENV)/benchmarks requirements-benchmarks.txt $@

lock: $(VENV)/dev.stamp ## the newest releases that requirements*.in allow, with their hashes
	for name in requirements requirements-dev requirements-importer requirements-benchmarks; do \
	    $(BIN)/uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes \
	        --no-header --no-annotate --output-file $$name.txt $$name.in || exit 1; \
	done

clean: ## remove what the targets above have made in the checkout
	rm -rf $(VENV) .ansible .hypothesis .pytest_cache tests/output memlab-testbed-*.tar.gz
