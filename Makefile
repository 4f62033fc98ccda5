# The project's commands. `make` alone lists them.

PYTHON ?= python3
VENV := .venv/bin
COMPILE := uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header $(ARGS)
# The app reads the .env beside it; flask by itself would also take one from a folder above.
export FLASK_SKIP_DOTENV := 1

.PHONY: help run test cluster-test check train lock

help: ## List these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' Makefile

run: ## Set up what is missing, then serve on http://localhost:5000
	@$(PYTHON) .ci/setup.py web
	@$(VENV)/flask serve

test: ## Run every test, on SQLite, on MariaDB and in a browser (ARGS="-k search" chooses)
	@$(PYTHON) .ci/setup.py all
	@bash .ci/install_test_servers
	@$(VENV)/python -m pytest --numprocesses auto --maxprocesses 4 --dist loadfile $(ARGS)

cluster-test: ## Start proxy, two web servers, workers, MariaDB and Redis here, do the main job and kill parts
	@$(PYTHON) .ci/setup.py all
	@bash .ci/install_test_servers cluster
	@$(VENV)/python -m pytest -m cluster tests/cluster --verbose $(ARGS)

check: ## Lint, types, layers, templates, known vulnerabilities
	@$(PYTHON) .ci/setup.py all
	@bash .ci/check

train: ## Train and judge the custom CNN (14 minutes; MELANOMA_DATA names the images' folder)
	@$(PYTHON) .ci/setup.py all
	@$(VENV)/python -m ml train custom_cnn_kaggle --curves static/training_curves.png
	@$(VENV)/python -m ml evaluate custom_cnn_kaggle

lock: ## Pin the packages of requirements/*.in again; needs uv (ARGS=--upgrade takes the newest)
	@cd requirements && $(COMPILE) dev.in --output-file ../requirements.txt
	@for part in web ml; do $(COMPILE) requirements/$$part.in --constraint requirements.txt \
		--output-file requirements/$$part.txt || exit 1; done
