# Two commands do everything on a bare machine with Python 3.11: `make demo` and `make test`.
# Each makes what it needs first (tools/setup.sh); a second call finds it in place.

.DEFAULT_GOAL := help
.PHONY: help demo test lint goldens mutants figures assets bench peers wheel upgrade clean
SETUP := sh tools/setup.sh
BIN := .venv/bin
# make test ARGS="tests/ingest -k kill"; make demo ARGS="--port 8090"
ARGS ?=
# Two workers, a whole file each; without a worker (and with --pdb, or -s): make test WORKERS=
WORKERS ?= -n 2 --dist loadfile --no-loadscope-reorder

help: ## this list
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' Makefile | expand -t 10

demo: ## everything on this machine with simulated devices, marked EXERCISE
	@$(SETUP) run assets
	@$(BIN)/birddog demo $(ARGS)

test: ## make lint, then every test there is; what this machine lacks is named and skipped
	@$(SETUP) test assets system
	@$(BIN)/ruff check -q .
	@$(BIN)/mypy
	@$(BIN)/python -m pytest $(WORKERS) $(ARGS) || { s=$$?; [ $$s -ne 5 ] || echo "make test: no test was found" >&2; exit $$s; }

lint: ## ruff, the types (mypy) and the import contracts
	@$(SETUP) test
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

goldens: ## the pictures of tests/goldens again, where the truth beside them holds; then look at git diff tests/goldens
	@$(SETUP) test
	@$(BIN)/python tools/goldens.py $(ARGS)

mutants: ## are the tests tested? mutations of one file: make mutants ARGS="tracking/doubt.py [TESTS]"
	@$(SETUP) test
	@sh tools/mutants.sh $(ARGS)

figures: ## the plots of docs/tracking.md, drawn from the live fold; then look at them
	@$(SETUP) test
	@$(BIN)/python tools/figures.py $(ARGS)

assets: ## fetch the console's browser libraries, checked by SHA-256
	@$(SETUP) run assets

bench: ## the benchmarks: ratios to a baseline run beside them, to benchmarks/trend.csv
	@$(SETUP) test assets system
	@for file in benchmarks/*.py; do echo "== $$file"; $(BIN)/python $$file || exit 1; done

peers: ## other people's MQTT tests: make peers PAHO=checkout MOSQUITTO=checkout; docs/clients.md explains the differences
	@$(SETUP) test
	@$(BIN)/python tools/peers.py --paho "$(PAHO)" --mosquitto "$(MOSQUITTO)"

wheel: ## dist/birddog-*.whl with every package and asset
	@$(SETUP) test assets
	@$(BIN)/python -m build --wheel --no-isolation --outdir dist .

upgrade: ## newest versions that pyproject.toml allows into constraints.txt; then make test
	@sh tools/upgrade.sh

clean: ## removes everything that make made
	rm -rf .venv dist build .pytest_cache .hypothesis .ruff_cache .mypy_cache .import_linter_cache opsroom/console/static/vendor
	find . -name __pycache__ -type d -not -path './.git/*' -prune -exec rm -rf {} +
