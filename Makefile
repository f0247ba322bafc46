# Two commands on a fresh machine (git, make, Python >= 3.11 with venv): `make demo` and `make test`. Each sets itself up in ./.venv.
PYTHON ?= python3
BIN := .venv/bin
.DEFAULT_GOAL := help
.PHONY: help setup demo test bench lock node-servers

help:
	@echo "make demo   24 台模拟设备、95 天历史、页面与证据包 (the whole path, simulated)"
	@echo "make test   格式、类型、分层、全部测试 (format, types, layers, every test)"
	@echo "make bench  实测速度与大小，各附极限 (figures, each beside its limit)"

setup: .venv/ready

.venv/ready: requirements.txt requirements-uv.txt pyproject.toml
	@echo "==> 建立 .venv 并安装固定版本的依赖 (own .venv, pinned and hashed packages)"
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-uv.txt
	@$(BIN)/uv pip sync --python $(BIN)/python --require-hashes requirements.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-uv.txt
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation -e .
	@touch $@

demo: setup
	@$(BIN)/plantproof demo $(ARGS)

test: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	$(BIN)/pytest -n 2 --dist loadfile $(ARGS)

bench: setup
	$(BIN)/python benchmarks/run.py $(ARGS)

# Versions are pinned with hashes; no download address is recorded.
lock:
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-annotate --extra dev pyproject.toml -o requirements.txt
	echo "uv==0.13.9" | $(BIN)/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-annotate - -o requirements-uv.txt

# Servers on other stacks for the interoperability tests; versions and hashes in tests/servers/package-lock.json.
node-servers:
	npm ci --prefix tests/servers --no-audit --no-fund --loglevel=error
