# Millrace: `make` lists the targets. Needs Go 1.26 and a C-less Linux box; everything else is fetched by name.
SHELL       := /bin/bash
GO          ?= go
BIN         := bin/millrace
PREFIX      ?= $(HOME)/.local
T           ?= 60s
KILLS       ?= 200
ROUNDS      ?= 200
VERSION     := $(shell git describe --always --dirty 2>/dev/null || echo unknown)
LDFLAGS     := -s -w -X main.version=$(VERSION)
export CGO_ENABLED ?= 0

GOTESTSUM   := $(GO) run gotest.tools/gotestsum@v1.13.0 --format pkgname --hide-summary skipped
STATICCHECK := $(GO) run honnef.co/go/tools/cmd/staticcheck@v0.8.2
GOVULNCHECK := $(GO) run golang.org/x/vuln/cmd/govulncheck@v1.9.0

.DEFAULT_GOAL := help
.PHONY: help build install uninstall demo bench test race fuzz soak gate bench-kafka compat lint generate figures clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

build: ## build the static binary bin/millrace
	@echo "building $(BIN) (the first build fetches and compiles its modules: a minute or two on two cores)" >&2
	@set -o pipefail; $(GO) build -v -trimpath -ldflags '$(LDFLAGS)' -o $(BIN) ./cmd/millrace 2>&1 | awk '\
	  /^go: downloading/ { print "  fetching " $$3 " " $$4; fflush(); next } \
	  /^[A-Za-z0-9_.\/-]+$$/ { if (++n % 25 == 0) { print "  " n " packages compiled, now " $$0; fflush() } next } { print }' >&2

install: build ## install the binary into PREFIX/bin (default ~/.local/bin)
	install -D -m 755 $(BIN) $(PREFIX)/bin/millrace
	@case ":$$PATH:" in *":$(PREFIX)/bin:"*) ;; *) echo "$(PREFIX)/bin is not in PATH: export PATH=\"$(PREFIX)/bin:\$$PATH\" makes a shell find millrace" >&2 ;; esac

uninstall: ## remove what install put there
	rm -f $(PREFIX)/bin/millrace

demo: build ## start a broker, move the text of Go's own src through it, verify every record, print the latency table
	@$(BIN) demo

bench: build ## the short suite against a broker it starts: a table and a report within 90 s (BENCHFLAGS="-b HOST:PORT": another broker, such as Apache Kafka)
	@mkdir -p dist
	@env -u MILLRACE_BROKERS $(BIN) bench suite short --again -1 --allow-disturbed --html dist/bench.html $(BENCHFLAGS)

gate: build ## six workloads against the limits of bench/goals.yaml, wide enough for any machine: what CI runs
	@rm -rf dist/gate; mkdir -p dist
	@env -u MILLRACE_BROKERS $(BIN) bench suite smoke --allow-disturbed --dir dist/gate || [ $$? = 4 ] # 4: a generator was the limit, of which the gate says more
	@$(BIN) bench gate --allow-disturbed bench/goals.yaml dist/gate

bench-kafka: build ## the matrix against Apache Kafka (fetched from Maven, default and tuned) and the floor, in turns: an hour, resumable
	@bench/kafka.sh $(if $(DIR),$(DIR),dist/bench-kafka)

test: ## unit and integration tests against the real binary (no client but Go's needed)
	@.ci/need strace
	$(GOTESTSUM) $(if $(JSON),--jsonfile $(JSON)) -- -timeout 20m $(TESTFLAGS) ./...

race: ## the same under the race detector (needs a C compiler)
	CGO_ENABLED=1 $(GOTESTSUM) $(if $(JSON),--jsonfile $(JSON)) -- -race -short -timeout 25m $(TESTFLAGS) $$($(GO) list ./... | grep -v /e2e)

fuzz: ## run every fuzz target for T (default 60s each)
	@set -e; for f in $$(grep -ho '^func Fuzz[A-Za-z0-9_]*' fuzz/*_test.go | cut -c6- | sort -u); do \
	  echo "== $$f"; $(GO) test ./fuzz -run '^$$' -fuzz "^$$f$$" -fuzztime $(T); done

soak: ## the full figures, 35 minutes: KILLS kills -9 under load and under groups, ROUNDS rebalance storms, 2 GiB compacted beside Kafka, every client's 200,000 records
	$(GO) test ./e2e -count=1 -v -run 'TestKill|TestRebalanceStorm' -timeout 60m -kills $(KILLS) -storm-rounds $(ROUNDS)
	@compat/setup.sh
	$(GO) test ./compat -tags compat -count=1 -v -run 'TestCompaction|TestProduceDuring|TestPrograms' -timeout 60m -records 200000 -compaction.mib 2048 -compaction.keys 1000000 -compaction.kills 10 -compaction.quiet 28s

compat: ## other people's clients and tools against the real binary, and Apache Kafka beside it (setup installs and fetches them)
	@compat/setup.sh
	@times=$$(mktemp); $(GOTESTSUM) $(if $(JSON),--jsonfile $(JSON)) -- -tags compat -count=1 -timeout 40m ./compat/... -times $$times $(COMPATFLAGS); rc=$$?; \
	  echo "suite                          took      budget"; cat $$times; rm -f $$times; exit $$rc

lint: ## gofmt, go vet, staticcheck, govulncheck
	@out=$$(gofmt -l $$(git ls-files '*.go')); test -z "$$out" || { echo "gofmt would change:"; echo "$$out"; exit 1; }
	$(GO) vet ./...
	$(GO) vet -tags compat ./compat/...
	cd compat/clients/go && CGO_ENABLED=1 $(GO) vet ./...
	$(STATICCHECK) ./...
	@.ci/vulncheck $(GOVULNCHECK)

generate: ## write the wire codec anew from its definitions
	$(GO) generate ./wire/...

figures: build ## the figures of BENCHMARKS.md: start, idle, 10,000 partitions, restart after kill -9
	$(GO) test ./e2e -count=1 -v -run 'TestFigures' -timeout 30m -figures

clean: ## remove what the build made
	rm -rf bin dist
