# make test is what CI runs. It installs what it needs when that is missing.

STATICCHECK = honnef.co/go/tools/cmd/staticcheck@v0.8.2
GOVULNCHECK = golang.org/x/vuln/cmd/govulncheck@v1.9.0
DEBS = gcc libc6-dev openssl chromium chromium-headless-shell firefox-esr webkit2gtk-driver xvfb slapd ldap-utils redis-server redis-sentinel redis-tools nginx-light haproxy caddy iproute2 iptables python3-django gunicorn curl jq
SCRIPTS = 'static/**/*.js' 'e2e/**/*.ts' 'examples/**/*.ts' '*.ts' # what prettier formats
export PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD = 1

# debs installs those of some Debian packages that are missing.
debs = missing=; for p in $(1); do dpkg -s $$p >/dev/null 2>&1 || missing="$$missing $$p"; done; \
	if [ -n "$$missing" ]; then \
	  export DEBIAN_FRONTEND=noninteractive; \
	  apt-get update -qq && apt-get install -y -qq -o DPkg::Lock::Timeout=600 --no-install-recommends $$missing >/dev/null; \
	fi

# promtool is that of Debian, out of a package that would also bring a server and its pages.
PROMTOOL = $(or $(shell command -v promtool),bin/promtool)

.PHONY: help run fmt lint tidy vuln test go-test types kit examples e2e engines looks pictures endurance bench chaos soak fuzz install release package-test docs

help: ## Say what there is
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 14

run: ## Start the server with the embedded store and the demo directory
	go run ./cmd/server

fmt: node_modules/.installed ## Format the code
	gofmt -w .
	npx prettier --write --log-level warn $(SCRIPTS)

install: node_modules/.installed $(PROMTOOL) ## Install what the tests need: Debian packages and node modules
	@$(call debs,$(DEBS))

bin/promtool:
	@rm -rf bin/promtool.half && mkdir -p bin/promtool.half
	@cd bin/promtool.half && { apt-get download -qq prometheus || { apt-get update -qq && apt-get download -qq prometheus; }; } && \
	  dpkg-deb --fsys-tarfile prometheus_*.deb | tar -x ./usr/bin/promtool
	@mv bin/promtool.half/usr/bin/promtool $@ && rm -r bin/promtool.half

node_modules/.installed: package-lock.json
	npm ci --no-audit --no-fund --loglevel=error
	@touch $@

lint: node_modules/.installed ## Check formatting, line lengths, go.mod, vet, staticcheck
	@test -z "$$(gofmt -l .)" || { gofmt -l .; echo 'run make fmt'; exit 1; }
	@npx prettier --check --log-level warn $(SCRIPTS) || { echo 'run make fmt'; exit 1; }
	go run ./internal/lint
	@go mod tidy -diff && go -C internal/caddy mod tidy -diff && go -C bench/centrifugo mod tidy -diff || { echo 'run make tidy'; exit 1; }
	go vet -tags chaos ./...
	go run $(STATICCHECK) -tags chaos ./...

tidy: ## Bring go.mod and go.sum in line with what is imported
	go mod tidy
	go -C internal/caddy mod tidy
	go -C bench/centrifugo mod tidy

vuln: ## Look up known vulnerabilities in what the program calls; needs the internet, so make test leaves it out
	@GOBIN=$(CURDIR)/bin go install $(GOVULNCHECK)
	@bin/govulncheck ./...; case $$? in 0) ;; \
	  3) echo 'make vuln: known vulnerabilities, see above'; exit 1 ;; \
	  *) echo 'make vuln: NOT CHECKED, the database of vulnerabilities cannot be read, see above'; exit 1 ;; \
	esac

go-test: install ## Go tests, with the race detector, but for those that measure stacks and allocations
	go test -race -parallel 4 ./...
	go test -run 'TestAReadingGoroutineKeepsASmallStack|TestAStatusAllocates' ./hub ./views

types: install ## Type checks of the browser client and the browser tests
	npx tsc -p static
	npx tsc -p .

kit: install ## Pack the fixtures and matchers for others' Playwright suites into bin/curfew-playwright-….tgz
	@mkdir -p bin
	npm pack ./e2e/kit --pack-destination bin --loglevel=error

examples: install bin/curfew kit ## Tests of the example application in Django, and its suite for Playwright
	examples/django/run.sh test
	examples/qa/run.sh

bin/curfew: $(shell find . -name node_modules -prune -o -name '*.go' -print) $(wildcard static/* views/pages/*)
	go build -o $@ ./cmd/server

e2e: install bin/curfew ## Browser tests
	npx playwright test

pictures: install bin/curfew ## Take the pictures of README and docs anew, and of every page to look at, in test-results/pictures
	CURFEW_PICTURES=1 npx playwright test e2e/pictures --no-deps --workers 1 --project chromium

docs: ## Build the documentation as a site, in bin/site; installs mkdocs, so make test leaves it out
	@$(call debs,mkdocs mkdocs-material)
	mkdocs build --strict --quiet

test: install lint go-test types examples e2e ## All of it

release: ## Build a release into dist: binaries, packages, SBOM, the kit for Playwright, checksums (make release VERSION=1.2.3)
	deploy/release.sh "$(VERSION)" dist

package-test: ## Build packages, install, upgrade, remove and purge them in a root to throw away; needs to be root; 5 minutes
	deploy/package/test.sh

bench: install ## Measure tabs, checks and telling beside the bare library and Centrifugo, proxies, several nodes, a simulation; an hour
	go run ./bench

chaos: install ## Break nodes, Redis, Sentinel, a cluster and the network under a random crowd, against a model; a quarter of an hour at most
	go test -tags chaos ./chaos -v -count 1 -timeout 15m $(CHAOS)

soak: install ## Have a crowd come and go while things break, half an hour or SOAK; memory, goroutines and descriptors must level
	go test -tags chaos ./chaos -run 'TestSoak|TestARiseIsNoticed' -v -count 1 -timeout 0 -soak $(or $(SOAK),30m)

engines: install bin/curfew ## Have Firefox run all tests that more than one engine is for; the suite has it run some
	CURFEW_ENGINES=1 npx playwright test --no-deps --project firefox

looks: install bin/curfew ## Have axe look at every page in every language, colour and width
	CURFEW_LOOKS=1 npx playwright test --no-deps --project chromium --grep 'axe|@looks'

endurance: install bin/curfew ## End sessions a hundred times, or CURFEW_ROUNDS, and watch pages wait and drafts come back; three quarters of an hour
	CURFEW_ROUNDS=$${CURFEW_ROUNDS:-100} npx playwright test e2e/endurance --no-deps --workers 1 --project chromium --project timing

# Up to Go 1.26 a target may fail at its end with nothing but "context deadline exceeded", as no input
# does: https://go.dev/issue/75804
fuzz: ## Fuzz whatever reads bytes from outside, FUZZ (30s) each; every function called Fuzz is found
	@grep -rEo --include '*_test.go' --exclude-dir node_modules '^func Fuzz[[:alnum:]]+' . | \
	sed -E 's|/[^/]+:func | |' | sort | while read -r package name; do \
	  echo "$$package $$name"; \
	  out=$$(go test $$package -run '^$$' -fuzz "^$$name\$$" -fuzztime $(or $(FUZZ),30s) -fuzzminimizetime 1s </dev/null 2>&1); \
	  failed=$$?; printf '%s\n' "$$out"; \
	  test $$failed = 0 || printf '%s\n' "$$out" | grep -A 1 '^--- FAIL' | grep -qx '    context deadline exceeded' || exit 1; \
	done
