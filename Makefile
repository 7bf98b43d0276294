# The newcomer's door: `make demo` and `make test`. Everything else is CMake (CMakePresets.json).
.PHONY: all demo test check bench soak fuzz cluster conformance chaos install clean
JOBS ?= $(shell nproc)

all: build/release/build.ninja
	@ninja -C build/release $(if $(filter 1,$(V)),-v) nantian nantian-control nantian-proxy

build/%/build.ninja: CMakeLists.txt CMakePresets.json
	@tools/install build
	@cmake --preset $* >build-$*.log || { cat build-$*.log; exit 1; }
	@rm -f build-$*.log

# Builds, starts both planes over a directory of Gateway API YAML, sends a request, stays.
demo: all
	@build/release/bin/nantian demo $(if $(ONCE),--once) $(DEMO)

# Everything: installs what the tests need, then runs all of them.
test:
	@tools/test all

# The two-minute subset for the inner loop.
check:
	@tools/test check

# Us beside Debian's nginx, HAProxy and h2o and beside Envoy, in paired windows (docs/BENCH.md).
bench: all
	@tools/install bench
	@ninja -C build/release bench_load bench_backend bench_floor bench_grpc
	@python3 test/bench/bench.py $(BENCH)
	@python3 test/bench/routes.py $(ROUTES)
	@python3 test/bench/scale.py $(SCALE)
	@python3 test/bench/controlplane.py $(CONTROLPLANE)

soak: all
	@tools/test soak

# FUZZ=seconds for each target.
fuzz:
	@tools/test fuzz

# A Kubernetes on this machine alone (test/cluster/README.md); stays until it is interrupted.
cluster: all
	@tools/install cluster
	@$$(tools/install venv)/bin/python test/cluster/cluster.py up $(CLUSTER)

# The Gateway API conformance suite against our install in such a cluster.
conformance: all
	@tools/install cluster
	@$$(tools/install venv)/bin/python test/cluster/cluster.py conformance $(CONFORMANCE)

# What stands around a Gateway under load is broken, one after the other; CHAOS=--long for an hour.
chaos: all
	@ninja -C build/release judge
	@tools/install cluster
	@$$(tools/install venv)/bin/python test/cluster/cluster.py chaos $(CHAOS)

install: all
	@cmake --install build/release --prefix $(or $(PREFIX),/usr/local)

clean:
	rm -rf build
