# Targets work on every module of the workspace.
MODULES := $(patsubst %/,%,$(dir $(shell git ls-files --cached --others --exclude-standard 'go.mod' '*/go.mod')))
GOLANGCI := github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
FUZZCOUNT := 1000000
BENCHTIME := 1s
MUTANTS := 1/1

# Without modules every loop below would pass by doing nothing.
ifeq ($(strip $(MODULES)),)
$(error no modules found: is this a git checkout that git trusts?)
endif

.PHONY: test race browser fuzz bench lint soak mutants

test: ## all tests, with short counts
	go test work

race: ## the same under the race detector
	go test -race work

browser: ## the page for customers in Chromium, alone, since it takes all the machine has
	KEYHATCH_BROWSER=1 go test -count=1 ./internal/integration/browser

fuzz: ## every fuzz target, each for FUZZCOUNT inputs
	FUZZCOUNT=$(FUZZCOUNT) .ci/fuzz

bench: ## every benchmark, beside its floor
	go test -run '^$$' -bench . -benchtime $(BENCHTIME) work

mutants: ## break each invariant on purpose and see its test fail; MUTANTS=2/3 does a part, MUTANTS=Redis those with that in their name
	KEYHATCH_MUTANTS='$(MUTANTS)' go test -count=1 -timeout 60m -parallel 3 -run Mutant ./internal/integration/mutants

soak: ## the full counts; takes about an hour
	KEYHATCH_SOAK=1 KEYHATCH_BROWSER=1 go test -count=1 -timeout 3h -p 1 -v work
	KEYHATCH_SOAK=1 go test -run '^$$' -bench BytesPerKey -benchtime 1x ./apikey
	KEYHATCH_SOAK=1 go test -run '^$$' -bench BesideManyKeys -benchtime 100x ./internal/integration/databases
	$(MAKE) mutants

lint: ## formatting, vet, golangci-lint with gosec and staticcheck, known vulnerabilities, tidiness, import rules
	@unformatted=$$(gofmt -l .) || exit 1; test -z "$$unformatted" || { echo "gofmt: $$unformatted"; exit 1; }
	go vet work
	@set -e; for dir in $(MODULES); do echo "lint $$dir"; (cd $$dir; \
		go run $(GOLANGCI) run ./...; GOWORK=off go mod tidy -diff; GOWORK=off go mod verify); done
	.ci/vulnerabilities $(MODULES)
	.ci/deps
