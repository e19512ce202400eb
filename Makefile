# Everything a person types: `make run` to see it work, `make test` before a commit. Tools go into .venv and
# .local; each is installed once, and again only when its list of versions changes.

PYTHON  ?= python3
VENV    := .venv
LOCAL   := $(VENV)/bin/python infra/local
TOOLS   := $(VENV)/.tools-installed
DATA    := infra/data.yaml
SAM_CLI := 1.170.0
CLIENTS := .local/clients/.installed
SAM     := .local/sam-$(SAM_CLI)/bin/sam
LITELLM_PROXY := .local/litellm/bin/litellm
# What functions are built for; the parameter Architecture of template.yaml is told the same.
ARCH    ?= arm64
# cargo-lambda and Zig are first on the path, and cargo builds where the templates look.
TOOLED  := env -u CARGO_TARGET_DIR PATH="$(CURDIR)/$(VENV)/bin:$$PATH" SAM_CLI_TELEMETRY=0
# Models of the black-box tests: a server inside the test process.
PROVIDER := --reserve-port TEST_PROVIDER_PORT --providers-json tests/support/providers.json

.DEFAULT_GOAL := help
.PHONY: help setup clients run test smoke bench session fmt lint openapi build deploy clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(TOOLS) ## install the tools into .venv (done by the others when needed)

$(TOOLS): infra/requirements.txt
	@command -v $(PYTHON) >/dev/null || { echo "error: $(PYTHON) is not on the PATH: install Python 3.11 or newer." >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "error: Python 3.11 or newer is needed; PYTHON=… names another." >&2; exit 1; }
	@echo "installing the tools of infra/requirements.txt into $(VENV)"
	@test -x $(VENV)/bin/python || $(PYTHON) -m venv $(VENV)
	@$(VENV)/bin/python -m pip install -q --disable-pip-version-check --no-compile --no-deps -r infra/requirements.txt \
		|| { echo "error: the tools could not be installed; pip's reason is above." >&2; exit 1; }
	@touch $@

# Clients of others that the tests run, and Chromium. Node comes with them, as a Python package.
clients: $(CLIENTS) ## install the clients of tests/clients (done by test when needed)

$(CLIENTS): tests/clients/python/requirements.txt tests/clients/node/package-lock.json | $(TOOLS)
	@echo "installing the clients of tests/clients into .local/clients"
	@test -x .local/clients/python/bin/python || $(PYTHON) -m venv .local/clients/python
	@.local/clients/python/bin/python -m pip install -q --disable-pip-version-check --no-compile --no-deps \
		-r tests/clients/python/requirements.txt \
		|| { echo "error: the Python clients could not be installed; pip's reason is above." >&2; exit 1; }
	@PATH="$(CURDIR)/.local/clients/python/bin:$$PATH" npm ci --silent --no-audit --no-fund --ignore-scripts --prefix tests/clients/node \
		|| { echo "error: the Node clients could not be installed; npm's reason is above." >&2; exit 1; }
	@touch $@

run: $(TOOLS) ## start everything locally and make one persona; ARGS="--brief FILE", PERSONA_PROVIDER=openai …
	@$(LOCAL) up $(ARGS)

# The whole workspace throughout: another choice of packages would choose other features of dependencies, and build all of it
# again.
test: $(TOOLS) $(CLIENTS) ## unit tests, then the black-box tests against a stack of their own
	cargo test -q --workspace --lib
	cargo build -q --workspace --tests --bins --examples
	$(LOCAL) exec --concurrency 6 $(PROVIDER) -- cargo test -q --workspace --test suite -- --test-threads 4 --skip disturbed
	PERSONA_LEASE_SECONDS=3 PERSONA_REAPER_SECONDS=2 $(LOCAL) exec $(PROVIDER) --processes 8 --kill-every 0.5-2.5s \
		--visibility 5 -- cargo test -q --workspace --test suite -- disturbed --nocapture
	$(LOCAL) exec --model smollm -- cargo test -q --workspace --test model

smoke: $(TOOLS) ## deploy the whole template to an emulator and make personas through it
	cargo build -q --workspace --bins
	$(VENV)/bin/python infra/deploy/smoke.py target/debug

# What time to the first word is compared with.
$(LITELLM_PROXY): Makefile
	@echo "installing LiteLLM's proxy into .local/litellm"
	@$(PYTHON) -m venv .local/litellm
	@.local/litellm/bin/pip install -q --disable-pip-version-check 'litellm[proxy]==1.105.0' \
		|| { echo "error: LiteLLM could not be installed; pip's reason is above." >&2; exit 1; }
	@touch $@

# Optimised, but not linked as for Lambda: that takes half an hour, and the times are much the same.
bench: export CARGO_PROFILE_RELEASE_LTO := off
bench: export CARGO_PROFILE_RELEASE_CODEGEN_UNITS := 16
bench: export LITELLM := $(CURDIR)/$(LITELLM_PROXY)
bench: $(TOOLS) $(CLIENTS) $(LITELLM_PROXY) ## measure the promised numbers, against an optimised build; BENCH="runs init" measures parts
	cargo build -q --release -p functions -p bare --bins
	cargo build -q --release -p persona-cli
	cargo build -q -p tests --bench bench
	$(LOCAL) exec --release --concurrency 16 --reserve-port BENCH_PROVIDER_PORT --providers-json tests/bench/providers.json \
		-- cargo bench -q --profile dev -p tests --bench bench -- $(BENCH)

session: $(TOOLS) ## run the command line as the README shows it, and write what it prints there
	cargo build -q --workspace --bins
	$(LOCAL) exec -- $(PYTHON) cli/session.py

fmt: $(TOOLS) ## format the code
	cargo fmt
	$(VENV)/bin/ruff format -q --config infra/ruff.toml infra cli tests/clients/python

openapi: ## write docs/openapi.json from the catalogue
	PERSONA_WRITE_OPENAPI=1 cargo test -q --workspace --lib openapi

lint: $(TOOLS) ## formatting, clippy without warnings, Python, CloudFormation, OpenAPI
	cargo fmt --check
	cargo clippy --workspace --all-targets -q -- -D warnings
	$(VENV)/bin/ruff check -q infra cli
	$(VENV)/bin/ruff check -q --config infra/ruff.toml tests/clients/python
	$(VENV)/bin/ruff format -q --config infra/ruff.toml --check infra cli tests/clients/python
	$(VENV)/bin/cfn-lint template.yaml $(DATA)
	$(VENV)/bin/openapi-spec-validator --schema 3.1 docs/openapi.json

build: $(TOOLS) ## release binaries for Lambda in target/lambda; ARCH=arm64 or x86_64
	$(TOOLED) cargo lambda build --release --target $(ARCH:arm64=aarch64)-unknown-linux-gnu -p functions
	@wc -c target/lambda/*/bootstrap | awk '$$2 != "total" { split($$2, path, "/"); size = $$1 / 1048576; \
		printf "%6.2f MiB  %s%s\n", size, path[3], size > 12 ? "  (over the 12 MiB that a cold start should read)" : "" }'

# A venv of its own: its pins and those of infra/requirements.txt exclude each other.
$(SAM):
	@echo "installing the AWS SAM CLI $(SAM_CLI) into .local"
	@rm -rf .local/sam-* && $(PYTHON) -m venv .local/sam-$(SAM_CLI)
	@.local/sam-$(SAM_CLI)/bin/pip install -q --disable-pip-version-check aws-sam-cli==$(SAM_CLI) \
		|| { rm -rf .local/sam-*; echo "error: the AWS SAM CLI could not be installed; pip's reason is above." >&2; exit 1; }

deploy: $(TOOLS) $(SAM) ## deploy to AWS, asking before it changes anything; PARAMETERS="Prefix=…", SAM_ARGS=…
	@$(VENV)/bin/python -c 'import boto3, sys; sys.exit(boto3.Session().get_credentials() is None)' \
		|| { echo "error: no AWS credentials: sign in, or set AWS_PROFILE." >&2; exit 1; }
	@$(MAKE) build
	$(TOOLED) $(SAM) validate --lint
	$(TOOLED) $(SAM) build --beta-features --parameter-overrides Architecture=$(ARCH)
	$(TOOLED) $(SAM) deploy --parameter-overrides Architecture=$(ARCH) $(PARAMETERS) $(SAM_ARGS)

clean: ## remove what was built; the model file and the tools stay
	cargo clean
	rm -rf .aws-sam .local/logs .local/watch .local/emulator .local/cargo-metadata.json
