# Each target covers every module of the workspace.
MODULES := $(patsubst %/,%,$(dir $(shell git ls-files --cached --others --exclude-standard 'go.mod' '*/go.mod')))
GOLANGCI := github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
FUZZCOUNT := 1000000
BENCHTIME := 1s
MUTANTS := 1/1

# Without modules, every loop below would do nothing and pass.
ifeq ($(strip $(MODULES)),)
$(error no modules found: is this a git checkout that git trusts?)
endif

.PHONY: test race browser fuzz bench lint soak mutants

test: ## all tests, with short counts
	go test work

race: ## all tests under the race detector
	.ci/race

browser: ## the self-service page in Chromium; runs alone, since it uses all CPUs
	KEYHATCH_BROWSER=1 go test -count=1 ./internal/integration/browser

fuzz: ## every fuzz target, each for FUZZCOUNT inputs
	FUZZCOUNT=$(FUZZCOUNT) .ci/fuzz

bench: ## every benchmark; KEYHATCH_CHART=/tmp/chart.svg draws a chart too, which takes minutes
	go test -run '^$$' -bench . -benchtime $(BENCHTIME) -timeout 1h work

mutants: ## break each invariant on purpose and check that its test fails; MUTANTS=2/3 runs a third, MUTANTS=Redis those whose name contains Redis
	KEYHATCH_MUTANTS='$(MUTANTS)' go test -count=1 -timeout 60m -parallel 3 -run Mutant ./internal/integration/mutants

soak: ## all tests with full counts; takes about an hour
	KEYHATCH_SOAK=1 KEYHATCH_BROWSER=1 go test -count=1 -timeout 3h -p 1 -v work
	KEYHATCH_SOAK=1 go test -run '^$$' -bench . -benchtime 1x -timeout 1h ./internal/integration/bench
	KEYHATCH_SOAK=1 go test -run '^$$' -bench BesideManyKeys -benchtime 100x ./internal/integration/databases
	$(MAKE) mutants

lint: ## formatting, vet, golangci-lint with gosec and staticcheck, known vulnerabilities, tidiness, import rules, wording
	@unformatted=$$(gofmt -l .) || exit 1; test -z "$$unformatted" || { echo "gofmt: $$unformatted"; exit 1; }
	go vet work
	@set -e; for dir in $(MODULES); do echo "lint $$dir"; (cd $$dir; \
		go run $(GOLANGCI) run ./...; GOWORK=off go mod tidy -diff; GOWORK=off go mod verify); done
	.ci/vulnerabilities $(MODULES)
	.ci/deps
	.ci/wording
