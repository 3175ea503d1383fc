# make            what there is to make
STATICCHECK = go run honnef.co/go/tools/cmd/staticcheck@v0.8.2
RACED       = ./storage/... ./raftfsm/... ./node/... ./resp/... ./core/... ./api/... ./pipeline/...
export CGO_ENABLED ?= 0

help: ## this list
	@grep -E '^[a-z-]+:.*## ' Makefile | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 20

build: ## ./parlor
	go build -trimpath -o parlor ./cmd/parlor

release: ## static binaries for amd64 and arm64, deb, rpm and checksums in ./dist
	cmd/parlor/packaging/release.sh

demo: ## three nodes, a demo shop and two agents on this machine
	go run ./cmd/parlor demo

test: ## everything that the README's test command runs
	go test ./...

check: ## gofmt, vet, module checksums, staticcheck
	@test -z "$$(gofmt -l . | tee /dev/stderr)" || { echo "run gofmt -w on the files above"; exit 1; }
	go vet ./...
	go mod verify
	$(STATICCHECK) ./...

race: ## the packages with goroutines of their own, under the race detector
	CGO_ENABLED=1 go test -race -timeout 20m $(RACED)

web: ## bundle the widget and the console anew into web/dist
	go run ./web/build

golden: ## rewrite the golden files from what the code does now; read the diff
	go test ./rules ./core ./resp ./cmd/parlor -update

differential: ## a million random commands against a real redis-server, and a million over sockets
	PARLOR_DIFFERENTIAL=1000000 go test ./storage/redis ./resp -run Differential -count=1 -timeout 60m -v

redis-suite: build ## Redis's own tests, of a checkout of 7.0.15 at REDIS_SRC=…, against this build (UNITS=…; Linux, tclsh)
	testdata/redis-suite/run.sh $(CURDIR)/parlor "$(REDIS_SRC)" $(UNITS)

portable: ## the golden vectors of the store's arithmetic, as arm64 computes them (needs qemu-user)
	GOARCH=arm64 go test -exec qemu-aarch64 ./storage/redis -run 'Everywhere|Angles' -count=1 -v

transcript: ## run the first chat on three real nodes and write docs/first-chat.md
	PARLOR_TRANSCRIPT=../../docs/first-chat.md go test ./cmd/parlor -run 'TestFirstChat$$' -count=1 -v

bench: ## Go benchmarks of the store, the state machine and the rules
	go test -run '^$$' -bench . -benchmem ./storage/... ./raftfsm ./rules ./resp

figures: ## writes during a backup of 1 GB, and the restart of a node with it
	PARLOR_FIGURES=1024 go test ./cmd/parlor -run 'TestBackupFigures$$' -count=1 -timeout 20m -v

stalls: ## how long writes take while checkpoints, compactions and snapshots go on
	PARLOR_STALLS=60 go test ./cmd/parlor -run 'TestStallFigures$$' -count=1 -timeout 20m -v

large: ## what a node with KEYS=10000000 keys costs beside one with 10 000, its restart, and a flush of all of them (Linux)
	PARLOR_LARGE_KEYS=$(or $(KEYS),10000000) go test ./cmd/parlor -run 'TestLargeFigures$$' -count=1 -timeout 3h -v

huge: ## a node with GB=20 of values: its memory, reads and writes at random, restart, compaction (Linux, 4 × GB of disk)
	PARLOR_HUGE=$(or $(GB),20) go test ./cmd/parlor -run 'TestHugeFigures$$' -count=1 -timeout 3h -v

large-keys: ## how long single commands on keys of a million elements stop the state machine
	PARLOR_LARGE=1000000 go test ./storage/redis -run 'LargeKeys$$' -count=1 -timeout 2h -v

failover: ## ROUNDS=20 kills and transfers of the leader as a client sees them, and the memory of idle nodes
	PARLOR_FAILOVER=$(or $(ROUNDS),20) go test ./cmd/parlor -run 'TestFailoverFigures$$' -count=1 -timeout 30m -v

powercut: build ## a million writes on disks that forget what was not synced, while all power is cut (Linux, FUSE, root)
	go -C testdata/powercut run . -parlor $(CURDIR)/parlor

chaos: ## MINUTES=5 of nodes killed, paused and cut off, disks full and clocks set under load; what clients saw is checked (SEED=… repeats, Linux)
	go -C testdata/chaos run . -source $(CURDIR) -minutes $(or $(MINUTES),5) $(if $(SEED),-seed $(SEED)) $(if $(OUT),-out $(abspath $(OUT)))

mixed: ## upgrades under load, in every order, with steps back: from the commit in cmd/parlor/testdata/previous, and to the next level
	PARLOR_MIXED=1 go test ./cmd/parlor -run 'TestMixedVersions$$' -count=1 -timeout 60m -v

damage: ## every byte of a log cut off, every bit turned over, every crash twice
	PARLOR_DAMAGE=1 go test ./raftfsm -run 'CutOff|TurnsOver|CrashesAtAnyPoint' -count=1 -timeout 60m -v

fuzz: ## each fuzz target for a minute
	@for p in $$(go list ./...); do for f in $$(go test -list '^Fuzz' $$p | grep ^Fuzz || true); do \
		go test $$p -run '^$$' -fuzz "^$$f$$" -fuzztime 60s || exit 1; done; done

.PHONY: help build release demo test check race web golden differential redis-suite portable transcript bench figures fuzz powercut chaos damage stalls large huge large-keys mixed failover
.DEFAULT_GOAL := help
