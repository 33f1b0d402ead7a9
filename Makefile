# `make help` lists the targets.
GO ?= go
PYTHON ?= python3

.DEFAULT_GOAL := help

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: build
build: ## build ./bin/pictosync, with what is known of where its time goes
	$(GO) build -pgo=bench/convert.pgo -o bin/ ./cmd/pictosync

.PHONY: test
test: vet unit race conformance ## every test

.PHONY: unit
unit: ## the Go tests
	$(GO) test ./...

.PHONY: race
race: ## the Go tests where goroutines live, under the race detector
	$(GO) test -race -short ./worker ./upload ./backup ./dataset ./quota ./conversion ./internal/parallel ./sandbox ./source ./store ./pictograph ./view ./report

.PHONY: conformance
conformance: ## hold the product against the official SDK (makes a venv of its own)
	$(PYTHON) conformance/run.py

.PHONY: vet
vet: ## gofmt, go vet, staticcheck and govulncheck
	@test -z "$$(gofmt -l .)" || { gofmt -l .; echo "run gofmt -w on these"; exit 1; }
	$(GO) vet ./...
	$(GO) tool staticcheck ./...
	@out=$$($(GO) tool govulncheck ./... 2>&1); status=$$?; case "$$out" in \
	  *"fetching vulnerabilities"*) echo "govulncheck: SKIPPED: its database cannot be reached from here";; \
	  *) echo "$$out"; exit $$status;; \
	esac

.PHONY: look
look: ## make the pictures of docs/look.md anew, with chromium, from testdata
	PICTOSYNC_LOOK=$(CURDIR)/docs/look $(GO) test ./cmd/pictosync -run '^TestLook$$' -count 1 -v

.PHONY: chaos
chaos: ## imports of 5,000 images with every fault and 200 kills, undone; and of 2,000 with states that are harmed
	PICTOSYNC_CHAOS_IMAGES=5000 PICTOSYNC_CHAOS_KILLS=200 $(GO) test ./cmd/pictosync -run 'TestChaos$$' -count 1 -v -timeout 2h
	PICTOSYNC_CHAOS_IMAGES=2000 PICTOSYNC_CHAOS_KILLS=200 $(GO) test ./cmd/pictosync -run 'TestChaosOfStates' -count 1 -v -timeout 2h

.PHONY: year
year: ## 365 nights of sync and export, one kill a week
	PICTOSYNC_NIGHTS=365 $(GO) test ./cmd/pictosync -run 'TestNightlyYear' -count 1 -v -timeout 1h

.PHONY: export-kills
export-kills: ## an export of 100,000 images, killed ten times
	PICTOSYNC_EXPORT_KILLS_IMAGES=100000 $(GO) test ./cmd/pictosync -run 'TestExportKills' -count 1 -v -timeout 2h

.PHONY: whole-kills
whole-kills: ## syncs that back up by exports, killed 50 times across all their steps
	PICTOSYNC_WHOLE_KILLS=50 $(GO) test ./cmd/pictosync -run 'TestWholeKills' -count 1 -v -timeout 1h

.PHONY: wholes
wholes: ## count the requests of whole datasets, and their memory: IMAGES (default 100000) of EACH (10) annotations
	PICTOSYNC_WHOLE_IMAGES=$(or $(IMAGES),100000) PICTOSYNC_WHOLE_EACH=$(or $(EACH),10) $(GO) test ./cmd/pictosync -run 'TestRequestsOfWholes' -count 1 -v -timeout 2h

.PHONY: upload-kills
upload-kills: ## an upload of 2,000 images with every fault, killed 200 times
	PICTOSYNC_UPLOAD_IMAGES=2000 PICTOSYNC_UPLOAD_KILLS=200 $(GO) test ./cmd/pictosync -run 'TestUploadKills' -count 1 -v -timeout 2h

.PHONY: fuzz
fuzz: ## every fuzz target, for FUZZTIME each (default 1m)
	@for pkg in $$($(GO) list ./...); do \
	  for target in $$($(GO) test -list '^Fuzz' $$pkg | grep '^Fuzz'); do \
	    echo "== $$pkg $$target"; \
	    $(GO) test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(or $(FUZZTIME),1m) $$pkg || exit 1; \
	  done; \
	done

.PHONY: bench-sync
bench-sync: ## hold sync against the official SDK, a latency and a state in memory, into docs/performance.md
	$(PYTHON) bench/sync.py

.PHONY: bench-nights
bench-nights: ## how nights grow with the images: DIR for the states (1 kB an image), IMAGES as 1000,10000
	$(GO) run ./bench nights --dir $(or $(DIR),$(error name a folder with DIR=)) --images $(or $(IMAGES),1000,10000,100000)

.PHONY: bench
bench: ## the Go benchmarks, stage by stage
	$(GO) test -run '^$$' -bench . ./pictograph ./convert ./source ./store ./conversion

.PHONY: bench-profile
bench-profile: ## look anew where the time of a conversion goes, for make build
	$(GO) test -trimpath ./conversion -run '^$$' -bench Convert/whole -benchtime 20x -cpuprofile $(CURDIR)/bench/convert.pgo -o bin/conversion.test

.PHONY: bench-peers
bench-peers: ## hold the speed against others who read COCO, into docs/performance.md
	$(PYTHON) bench/peers.py

.PHONY: bench-growth
bench-growth: ## how time and memory grow with the images, into docs/performance.md
	$(PYTHON) bench/growth.py

.PHONY: clean
clean: ## remove what the targets made
	rm -rf bin conformance/.venv-* bench/.venv-* bench/.peers.json
