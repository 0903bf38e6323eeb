# SPDX-License-Identifier: MIT
#
# A thin front door: each target makes sure its packages are there, then hands over to meson or a script.
PREFIX ?= /usr/local
DESTDIR ?=
SECONDS ?= 60
SEED ?=

build:
	@scripts/setup build
	@PREFIX=$(PREFIX) scripts/configure release
	@ninja -C build/release --quiet

# The main job: an unmodified program on this malloc, with a sampling profiler inside. make run PROG="xz -T2 -k file"
run: build
	@scripts/run $(PROG)

test:
	@scripts/setup build test
	@scripts/test

# Long and random, on both paths, and again at debug:3.
torture:
	@scripts/setup build test
	@scripts/torture $(SECONDS) $(SEED)

fuzz:
	@scripts/setup build test
	@scripts/fuzz $(SECONDS)

bench:
	@scripts/setup build bench
	@scripts/bench

test-aarch64 test-rt:
	@scripts/setup build test emulator
	@scripts/$@

install: build
	@meson install -C build/release --no-rebuild --destdir "$(DESTDIR)"

# What is made from other files, and how files are laid out.
format:
	@scripts/check-style --fix
	@scripts/charters --write

clean:
	rm -rf build

.PHONY: build run test torture fuzz bench test-aarch64 test-rt install format clean
