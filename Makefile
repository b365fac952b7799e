# Two commands: `make run` and `make test`. Both set up a virtual environment in .venv first.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# What npm writes when it is done: the suite runs a watcher in Node.js, too.
NODE_MODULES := clients/node-interop/node_modules/.package-lock.json
# The JavaScript client, which the suite runs over UDP.
JS_CLIENT := clients/js/dist/index.js
# What draws the documentation's diagrams in a browser: one package of npm's, without what it depends on.
MERMAID_VERSION := 11.17.2
MERMAID := build/mermaid/.version-$(MERMAID_VERSION)
# What `make run` passes to twistd, for instance: make run ARGS="--backend workshop:players=500 --http tcp:9000:interface=127.0.0.1"
ARGS ?= --backend workshop

.PHONY: run test test-api test-bench test-chart test-ingest test-cpp test-cpp-openssl check-cpp test-js test-pages pages audit sbom lock soak lint bench reference docs clean

run: $(VENV)/installed
	$(BIN)/twistd --nodaemon --pidfile= craftnet $(ARGS)

# Processes that share the tests: many tests wait for other programs, so that three keep two cores busy. The tests start
# some 200 servers and commands: they keep compiled modules even where the environment forbids that, as images do.
JOBS ?= 3
test: $(VENV)/installed-test $(NODE_MODULES) $(JS_CLIENT)
	PYTHONDONTWRITEBYTECODE= $(BIN)/trial --jobs=$(JOBS) craftnet

# The benchmarks, each for a moment: about half a minute.
test-bench: $(VENV)/installed-test
	CRAFTNET_TEST_BENCH=1 $(BIN)/trial craftnet.tests.system.test_bench

# Faults at random for half an hour, and 10,000 random UDP sessions: make soak SECONDS=600 SEED=7
SECONDS ?= 1800
SEED ?=
soak: $(VENV)/installed-test
	SECONDS=$(SECONDS) $(if $(SEED),SEED=$(SEED)) $(BIN)/python -m craftnet.tests.faults.soak
	CRAFTNET_HISTORIES=2500 $(BIN)/trial craftnet.tests.protocols.udp.test_histories

# The C++ client: build/cpp has its programs. It needs CMake, a compiler, OpenSSL and liblz4; on Debian: cmake g++ libssl-dev
# liblz4-dev.
test-cpp:
	cmake -S clients/cpp -B build/cpp
	cmake --build build/cpp --parallel $(JOBS)
	cd build/cpp && ctest --output-on-failure

# The C++ client's tests once more, with another OpenSSL: make test-cpp-openssl OPENSSL=/tmp/openssl-1.1.1
test-cpp-openssl:
	cmake -S clients/cpp -B build/cpp-openssl -DOPENSSL_ROOT_DIR=$(OPENSSL) -DOPENSSL_USE_STATIC_LIBS=ON
	cmake --build build/cpp-openssl --parallel $(JOBS) --target craftnet-tests craftnet-watch
	cd build/cpp-openssl && ctest --output-on-failure

# The JavaScript client: its tests run a server of .venv, and Chromium where that is installed.
test-js: $(VENV)/installed clients/js/node_modules/.package-lock.json
	cd clients/js && npm run check

# The web pages in the package, built from clients/: they are committed, so that serving them needs no Node.js.
PAGES := demo dashboard
pages: $(PAGES:%=clients/%/node_modules/.package-lock.json)
	for page in $(PAGES); do (cd clients/$$page && npm run --silent build) || exit 1; done

# The pages in Chromium, on a server of .venv. What is committed must be what the sources make.
test-pages: $(VENV)/installed clients/js/node_modules/.package-lock.json pages
	git diff --exit-code --stat -- craftnet/http/pages
	test -z "$$(git status --porcelain -- craftnet/http/pages)"
	for page in $(PAGES); do (cd clients/$$page && npm run --silent format && npm test) || exit 1; done

# The C++ client once more, with clang: sanitizers, fuzz targets for FUZZ seconds each, clang-tidy; about two minutes. On
# Debian: clang-14 clang-tidy-14 libclang-rt-14-dev.
FUZZ ?= 20
check-cpp:
	clients/cpp/check $(FUZZ)

# The API documents of a live server: linters, a schema-driven fuzzer, and a Go client that is generated, compiled and run.
# Minutes where nothing is cached; it needs Go and Node.js.
API_LINTERS := clients/api-documents/node_modules/.package-lock.json
test-api: $(VENV)/installed-test $(API_LINTERS)
	CRAFTNET_TEST_API=1 $(BIN)/trial craftnet.tests.http.description.test_tools craftnet.tests.http.test_contract_fuzz

# Known vulnerabilities of the locked packages; exceptions are in .ci/audit-exceptions.toml.
audit: $(VENV)/installed-supply
	$(BIN)/python .ci/audit.py

# Bills of materials (CycloneDX) of the image's Python packages and of the JavaScript client.
sbom: $(VENV)/installed-supply
	mkdir -p build/sbom
	$(BIN)/cyclonedx-py requirements --output-format JSON --output-file build/sbom/craftnet.cdx.json deploy/requirements.lock
	cd clients/js && npm sbom --omit dev --sbom-format cyclonedx --package-lock-only > ../../build/sbom/craftnet-client.cdx.json

# The versions and hashes that the image is installed with, for every Python that craftnet runs on.
lock: $(VENV)/installed-supply
	$(BIN)/uv pip compile --quiet --universal --upgrade --generate-hashes --python-version 3.11 --extra zstd --extra otel \
		--custom-compile-command 'make lock' --output-file deploy/requirements.lock setup.cfg

# Reading events from real brokers, each fetched once: Apache Kafka, which Maven fetches (45 jars, 43 MB) and Java runs, and
# nats-server, which Go builds (under a minute).
NATS_VERSION := v2.15.2
NATS := build/bin/nats-server
KAFKA_VERSION := 4.1.2
KAFKA := build/kafka/.version-$(KAFKA_VERSION)
$(KAFKA): craftnet/tests/streams/kafka-pom.xml
	@command -v mvn >/dev/null || { echo "Kafka is fetched with Maven; on Debian: apt-get install maven default-jre-headless" >&2; exit 1; }
	rm -rf build/kafka && mkdir -p build/kafka
	cd build/kafka && mvn --quiet --batch-mode --file ../../$< -Dkafka.version=$(KAFKA_VERSION) \
		dependency:copy-dependencies -DincludeScope=runtime -DoutputDirectory=$(CURDIR)/build/kafka/lib
	touch $@

$(NATS):
	@command -v go >/dev/null || { echo "nats-server is built with Go 1.24 or later; on Debian: apt-get install golang-go" >&2; exit 1; }
	mkdir -p build/bin
	GOBIN=$(CURDIR)/build/bin go install github.com/nats-io/nats-server/v2@$(NATS_VERSION)

test-ingest: $(VENV)/installed-test $(KAFKA) $(NATS)
	CRAFTNET_TEST_INGEST=1 $(BIN)/trial craftnet.tests.streams.test_kafka_broker craftnet.tests.streams.test_nats_server \
		craftnet.tests.streams.test_service

# The Helm chart, with a helm that Go builds: a few minutes, once.
HELM_VERSION := v3.19.0
HELM := build/bin/helm
test-chart: $(VENV)/installed-test $(HELM)
	$(BIN)/trial craftnet.tests.server.test_helm_chart

lint: $(VENV)/installed-dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy craftnet
	MYPYPATH=bench $(BIN)/mypy --no-warn-unused-ignores $(BENCH_TYPES:%=--disable-error-code %) bench

# Benchmarks use Twisted's reactor and transports loosely; mypy still finds names that no longer exist.
BENCH_TYPES = arg-type assignment method-assign misc union-attr var-annotated

# Runs every benchmark and writes docs/explanation/figures.md; about ten minutes.
bench: $(VENV)/installed-test
	$(BIN)/python bench/run.py $(BENCH)

# The parts of docs/reference that are read from the code.
reference: $(VENV)/installed
	$(BIN)/python docs/_tools/generate.py

# The documentation as a site: build/docs/index.html. A warning, such as a link to nowhere, is an error.
docs: $(VENV)/installed-docs $(MERMAID)
	$(BIN)/python docs/_tools/generate.py --check
	$(BIN)/sphinx-build --fail-on-warning --keep-going --quiet --builder html docs build/docs

clean:
	rm -rf $(VENV) build docs/project docs/clients docs/reference/protocol.md *.egg-info _trial_temp* clients/*/node_modules clients/js/dist

# Debian keeps the module that makes virtual environments in a package of its own.
$(BIN)/python:
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { test "$$(id -u)" = 0 && apt-get update && apt-get install -y python3-venv; } || \
		{ echo "Python cannot make a virtual environment here; on Debian: apt-get install python3-venv" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/installed: $(BIN)/python setup.cfg pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	touch $@

$(VENV)/installed-test: $(VENV)/installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[test]'
	touch $@

$(VENV)/installed-dev: $(VENV)/installed-test
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[test,dev]'
	touch $@

$(VENV)/installed-supply: $(VENV)/installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[supply]'
	touch $@

$(VENV)/installed-docs: $(VENV)/installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[docs]'
	touch $@

$(MERMAID):
	@command -v npm >/dev/null || { test "$$(id -u)" = 0 && apt-get update && apt-get install -y nodejs npm; } || \
		{ echo "The documentation needs npm; on Debian: apt-get install nodejs npm" >&2; exit 1; }
	mkdir -p build/mermaid
	cd build/mermaid && npm pack --silent mermaid@$(MERMAID_VERSION) && \
		tar -xzf mermaid-$(MERMAID_VERSION).tgz --strip-components=2 --exclude='*.map' \
			package/dist/mermaid.esm.min.mjs package/dist/chunks/mermaid.esm.min && rm mermaid-$(MERMAID_VERSION).tgz
	touch $@

$(JS_CLIENT): clients/js/node_modules/.package-lock.json clients/js/tsdown.config.ts $(shell find clients/js/src -type f)
	cd clients/js && npm run --silent build
	touch $@

$(HELM):
	@command -v go >/dev/null || { echo "Helm is built with Go 1.24 or later; on Debian: apt-get install golang-go" >&2; exit 1; }
	mkdir -p build/bin
	GOBIN=$(CURDIR)/build/bin go install helm.sh/helm/v3/cmd/helm@$(HELM_VERSION)

clients/%/node_modules/.package-lock.json: clients/%/package.json clients/%/package-lock.json
	@command -v npm >/dev/null || { test "$$(id -u)" = 0 && apt-get update && apt-get install -y nodejs npm; } || \
		{ echo "The tests need Node.js 20 or later with npm; on Debian: apt-get install nodejs npm" >&2; exit 1; }
	cd clients/$* && npm ci --no-audit --no-fund
	touch $@
