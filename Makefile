# Everything a newcomer needs: `make demo` and `make test` do all set-up by themselves.
PYTHON ?= python3
export PYTHON
CONFIG ?= config/gateway.toml
ARGS ?=

.PHONY: demo run test lint bench pjsip clean lock schema prove-first-call prove-sip prove-delivery prove-media prove-asr prove-live

demo: ## one call on this machine, from the INVITE to the signed webhook; ARGS=--json for the summary alone
	@deploy/setup.sh run
	@.venv/bin/asr-gateway demo $(ARGS)

run: ## take calls, as CONFIG says
	@deploy/setup.sh run
	.venv/bin/asr-gateway run --config $(CONFIG)

test: lint ## lint, type-check, all tests with branch coverage; ARGS go to pytest
	.venv/bin/coverage erase
	.venv/bin/coverage run -m pytest $(ARGS)
	.venv/bin/coverage combine -q
	.venv/bin/coverage report

lint:
	@deploy/setup.sh test
	.venv/bin/ruff check
	.venv/bin/ruff format --check
	.venv/bin/mypy

prove-first-call: ## the claims of the first call, as one table
	@deploy/setup.sh test
	.venv/bin/python -m pytest tests/integration/test_prompts.py tests/integration/test_faults.py

prove-asr: ## the claims of the ASR sessions, as one table: every fault at every engine, limits, loss, load (a quarter of an hour, on a quiet machine)
	@deploy/setup.sh test
	.venv/bin/python -m pytest -s -rs tests/prove/asr tests/asr/test_contract.py

prove-sip: ## the claims of the SIP side, as one table: real peers, attackers, crashes, load (a quarter of an hour, on a quiet machine)
	@deploy/setup.sh test
	.venv/bin/python -m pytest tests/prove/sip tests/sip/test_sipp_dialogs.py tests/sip/test_defence.py \
		tests/sip/test_gate_rules.py tests/integration/test_fail2ban.py tests/integration/test_asterisk.py \
		tests/integration/test_registration.py tests/integration/test_baresip.py \
		tests/integration/test_siprec.py tests/integration/test_info.py tests/integration/test_rtcp.py \
		tests/integration/test_legs.py tests/integration/test_call_data.py

prove-delivery: ## the claims of utterances, events, store and delivery, as one table (half an hour)
	@deploy/setup.sh test
	.venv/bin/python -m pytest tests/prove/delivery tests/docs

prove-live: ## the claims of latencies, API, page and tools, as one table, on a quiet machine; pictures go to build/screenshots (6 minutes)
	@deploy/setup.sh test
	.venv/bin/python -m pytest tests/web tests/telemetry tests/console tests/integration/test_metrics.py tests/prove/live

schema: ## write the JSON Schema and the AsyncAPI document of the events to docs/
	@deploy/setup.sh test
	.venv/bin/asr-gateway schema docs

prove-media: ## the claims of the media plane, as one table; about 15 minutes, on a quiet machine
	@deploy/setup.sh test
	HYPOTHESIS_PROFILE=explore .venv/bin/python -m pytest tests/prove/media tests/media tests/calls tests/integration/test_injection.py \
		tests/integration/test_sensitive.py tests/integration/test_info.py tests/integration/test_pauses.py

bench: ## what a leg costs, and how late audio, events and answers are: on this machine, while nobody else uses it
	@deploy/setup.sh test
	.venv/bin/python tests/bench/receiver.py
	.venv/bin/python tests/bench/asr.py
	.venv/bin/python tests/bench/asr.py --tls
	.venv/bin/python tests/bench/chan_websocket.py
	.venv/bin/python -m pytest tests/prove/sip/test_load.py
	.venv/bin/python -m pytest tests/prove/live/test_scrape.py tests/prove/live/test_fanout.py

pjsip: ## build pjsua2 for work (2048 calls, OpenSSL 3, SIPREC) and put it in place of the wheel from PyPI
	@SKIP_PJSUA2=1 deploy/setup.sh run
	deploy/pjsip/build-pjsua2.sh .venv/bin/python

lock: ## pin the dependencies anew
	@command -v uv >/dev/null || { echo "make lock needs uv: pipx install uv" >&2; exit 1; }
	uv pip compile -q --universal --generate-hashes --python-version 3.11 --no-annotate --no-header \
		pyproject.toml deploy/locks/build.in --extra embedded --extra trial -o deploy/locks/run.txt
	uv pip compile -q --universal --generate-hashes --python-version 3.11 --no-annotate --no-header \
		pyproject.toml deploy/locks/build.in --extra embedded --extra trial --extra nats --extra otel --extra yandex --extra dev \
		-c deploy/locks/run.txt -o deploy/locks/test.txt

clean:
	rm -rf .venv build *.egg-info .coverage* .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find gateway -name '*.so' -delete -o -name '*.c' -delete -o -name __pycache__ -prune -exec rm -rf {} +
