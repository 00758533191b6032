# gemmapipe — Gemma 3 as a relay of processes. `make help` lists what can be made.

B       ?= build
ifeq ($(origin CC),default)
CC      := gcc
endif
PREFIX  ?= /usr/local
SAN     ?=
T       ?=
FUZZ_SECONDS ?= 60

ARCH    := $(shell $(CC) -dumpmachine 2>/dev/null | cut -d- -f1)
WARN    := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes
SANITIZE := $(if $(SAN),-fsanitize=$(SAN) -fno-sanitize-recover=all -fno-omit-frame-pointer)
# -ffp-contract=off: an fma is written where one is meant, so that every instruction set gives the same bits.
CFLAGS  ?= -O2 -g
ALL_CFLAGS := -std=gnu11 $(CPPFLAGS) $(CFLAGS) $(WARN) -ffp-contract=off -fopenmp -I. -MMD -MP $(if $(NO_AVXVNNI),-DNO_AVXVNNI) $(SANITIZE)
LDLIBS  := -lxxhash -lm -lpthread -ldl
# MPI=0, ZMQ=0, SECCOMP=0: without these libraries. With MPI the program still needs none: gemmapipe-mpi.so does, loaded under mpirun.
MPI     ?= 1
ZMQ     ?= 1
# Sanitizers start processes of their own, which the filter would refuse.
SECCOMP ?= $(if $(SAN),0,1)
# Programs of another machine: with EMULATOR="qemu-aarch64 -L ROOT" each is a script that starts it on what was linked, so that tests start
# them, and they each other, as if they were of this one (tests/arm.sh).
EMULATOR ?=
KERNEL_O ?= -O3
VERSION := $(shell sed -n 's/.*GEMMAPIPE_VERSION "\(.*\)"/\1/p' base/version.h)
ZMQ_LIBS = $(if $(filter 1,$(ZMQ)),$(shell pkg-config --libs libzmq))
CJSON   = $(shell pkg-config --libs libcjson)
WEBP    = $(shell pkg-config --libs libwebp)
EDIT    = $(shell pkg-config --libs libedit)
HTTP    = $(shell pkg-config --libs libmicrohttpd)
MPI_INC = $(shell pkg-config --cflags ompi-c 2>/dev/null || mpicc --showme:compile)
MPI_LIBS = $(shell pkg-config --libs ompi-c 2>/dev/null || mpicc --showme:link)
SECCOMP_LIBS = $(if $(filter 1,$(SECCOMP)),$(shell pkg-config --libs libseccomp))
LINKED  = $(ZMQ_LIBS) $(SECCOMP_LIBS) $(CJSON) $(WEBP) $(EDIT) $(HTTP)
ALL_LDFLAGS := -fopenmp -Wl,--as-needed $(SANITIZE) $(LDFLAGS)

SHELL   := bash
ifneq ($(V),1)
Q := @
say = @printf '  %-6s %s\n' $(1) $(2)
endif

# What a program would set for itself by starting itself anew, which emulators do not do (base/threads.c), stands in the script.
emulated = $(if $(EMULATOR),$(Q)mv $@ $@.elf && printf '\043!/bin/sh\nGOMP_SPINCOUNT=500 exec %s %s "$$@"\n' '$(EMULATOR)' '$(abspath $@).elf' >$@ && chmod +x $@)

ROOMS   := base partition transport worker coordinator
MAINS   := coordinator/main.c worker/main.c partition/tool/main.c
# Compilers and assemblers before 2021 do not know AVX-VNNI; what they build goes without it.
NO_AVXVNNI := $(if $(filter x86_64,$(ARCH)),$(shell echo 'void f(void) { __asm__("{vex} vpdpbusd %ymm1, %ymm1, %ymm1"); }' | \
              $(CC) -mavxvnni -xc -c -o /dev/null - 2>/dev/null || echo 1))
ISA_x86_64  := avx2 $(if $(NO_AVXVNNI),,avxvnni) avxvnni_evex avx512
ISA_aarch64 := neon neon_dot neon_i8mm
KERNELS := $(filter-out $(foreach i,avx2 avxvnni avxvnni_evex avx512 neon neon_dot neon_i8mm,worker/kernels/$(i).c),$(wildcard worker/kernels/*.c)) \
           $(wildcard $(foreach i,$(ISA_$(ARCH)),worker/kernels/$(i).c))
NOT_LINKED := $(MAINS) worker/kernels/% transport/links/mpi.c $(addprefix transport/links/,$(if $(filter 1,$(ZMQ)),zmq_none.c,zmq.c zmq_sockets.c zap.c))
SOURCES = $(filter-out $(NOT_LINKED),$(wildcard $(1)/*.c $(1)/*/*.c)) $(if $(filter worker,$(1)),$(KERNELS))
objects = $(patsubst %.c,$(B)/%.o,$(1))
LIBS    := $(foreach r,coordinator worker partition transport base,$(B)/lib$(r).a)
PROGRAMS := $(B)/gemmapipe $(if $(filter 1,$(ZMQ)),$(B)/gemmapipe-worker) $(B)/gemmapipe-partition
PLUGIN  := $(if $(filter 1,$(MPI)),$(B)/gemmapipe-mpi.so)
test_programs = $(patsubst tests/%.c,$(B)/tests/%,$(1))
no_zap  := $(if $(filter 1,$(ZMQ)),,tests/fuzz/zap_%)
UNIT    := $(call test_programs,$(filter-out $(no_zap),$(wildcard tests/*/*_test.c tests/unit/*/*_test.c)))
# Programs that test scripts start; they bring their own main.
AIDS    := $(call test_programs,$(filter-out %_test.c,$(wildcard tests/links/*.c tests/peer/*.c tests/pipeline/*.c)))
BENCH   := $(call test_programs,$(wildcard tests/bench/*.c))
FUZZERS := $(call test_programs,$(filter-out $(no_zap),$(wildcard tests/fuzz/*_fuzz.c)))
DEMO    := models/demo/demo-q4_0.gguf
DEMO_SEES := models/demo/demo-mmproj-f16.gguf
PICTURE := models/demo/picture.png
# mpirun refuses root unless told twice; a demo or a test in a container is often root.
ROOT_OK := $(if $(filter 0,$(shell id -u)),OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1)

## make            build/gemmapipe, gemmapipe-worker, gemmapipe-partition
all: $(PROGRAMS) $(PLUGIN)

$(B)/worker/kernels/avx2.o:   ALL_CFLAGS += -O3 -mavx2 -mfma -mf16c
$(B)/worker/kernels/avxvnni.o: ALL_CFLAGS += -O3 -mavxvnni -mavx2 -mfma -mf16c
$(B)/worker/kernels/avxvnni_evex.o: ALL_CFLAGS += -O3 -mavx512f -mavx512vl -mavx512vnni -mavx2 -mfma -mf16c
$(B)/worker/kernels/avx512.o: ALL_CFLAGS += -O3 -mavx512f -mavx512bw -mavx512vl -mavx512dq -mavx512vnni -mavx2 -mfma -mf16c
$(B)/worker/kernels/blas.o:      ALL_CFLAGS += -O3
$(B)/worker/kernels/neon.o:      ALL_CFLAGS += $(KERNEL_O)
$(B)/worker/kernels/neon_dot.o:  ALL_CFLAGS += $(KERNEL_O) -march=armv8.2-a+dotprod
$(B)/worker/kernels/neon_i8mm.o: ALL_CFLAGS += $(KERNEL_O) -march=armv8.2-a+dotprod+i8mm
# clang takes minutes for each of these with checks of undefined behaviour in loops that are all taken apart; gcc's sanitizers see them.
ifneq ($(findstring clang,$(CC)),)
$(B)/worker/kernels/%.o: ALL_CFLAGS += -fno-sanitize=undefined
endif
ifeq ($(ARCH),x86_64)
$(B)/partition/format/quantize_avx2.o: ALL_CFLAGS += -O3 -mavx2 -mfma -mf16c
endif
$(B)/worker/confine.o:              ALL_CFLAGS += -DSECCOMP=$(SECCOMP)
$(B)/transport/links/mpi.o:         ALL_CFLAGS += -fPIC $(MPI_INC)
# stb_image adds and shifts as machines do, and adds nothing to no pointer: defined here, and no news to a sanitizer.
$(B)/coordinator/picture/image.o:     ALL_CFLAGS += -fwrapv -fno-sanitize=signed-integer-overflow,shift,pointer-overflow,nonnull-attribute

# What is part of the program as it lies here.
$(B)/coordinator/serve/page.o: coordinator/serve/page.html
$(B)/coordinator/up/remote.o: coordinator/up/remote.sh

$(B)/%.o: %.c
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(CC) $(ALL_CFLAGS) -c $< -o $@

define library
$(B)/lib$(1).a: $$(call objects,$$(call SOURCES,$(1)))
	$$(call say,AR,$$@)
	$$(Q)mkdir -p $$(@D) && rm -f $$@ && ar rcs $$@ $$^
endef
$(foreach r,$(ROOMS),$(eval $(call library,$(r))))

$(B)/gemmapipe: $(B)/coordinator/main.o $(LIBS)
$(B)/gemmapipe-worker: $(B)/worker/main.o $(filter-out %libcoordinator.a,$(LIBS))
$(B)/gemmapipe-partition: $(B)/partition/tool/main.o $(B)/libpartition.a $(B)/libbase.a
ifeq ($(MPI),1)
# What the part for MPI calls of ours: whoever loads it links these and lets them be seen.
$(B)/mpi.exports: $(B)/transport/links/mpi.o $(B)/libtransport.a $(B)/libbase.a
	$(Q)nm -u $< | sed 's/.* //' | sort | comm -12 - <(nm --defined-only $(filter %.a,$^) | sed -n 's/.* T //p' | sort) | \
	 sed 's/.*/-Wl,-u,&,--export-dynamic-symbol=&/' >$@
$(B)/gemmapipe-mpi.so: $(B)/transport/links/mpi.o
	$(call say,LD,$@)
	$(Q)$(CC) -shared $< $(ALL_LDFLAGS) $(MPI_LIBS) -o $@
$(B)/gemmapipe $(B)/tests/links/mpi_links: EXPORTS = @$(B)/mpi.exports
$(B)/gemmapipe $(B)/tests/links/mpi_links: $(B)/mpi.exports
endif
$(PROGRAMS):
	$(call say,LD,$@)
	$(Q)$(CC) $(filter-out %.exports,$^) $(EXPORTS) $(ALL_LDFLAGS) $(LINKED) $(LDLIBS) -o $@
	$(emulated)

# An archive: a test with a main of its own does not take the one in check.c.
$(B)/libcheck.a: $(patsubst %.c,$(B)/%.o,$(wildcard tests/support/*.c))
	$(call say,AR,$@)
	$(Q)mkdir -p $(@D) && rm -f $@ && ar rcs $@ $^

$(B)/tests/%: $(B)/tests/%.o $(B)/libcheck.a $(LIBS)
	$(call say,LD,$@)
	$(Q)$(CC) $(filter $(PLANTED),$^) $(filter-out %.exports $(PLANTED),$^) $(EXPORTS) $(ALL_LDFLAGS) $(if $(filter %_fuzz,$@),-fsanitize=fuzzer) $(LINKED) $(LDLIBS) -o $@
	$(emulated)

# The same sources once more, with the mistakes that simulated worlds must find.
PLANTED := $(patsubst %.c,$(B)/planted/%.o,$(shell grep -ls '"base/planted.h"' $(foreach r,$(ROOMS),$(r)/*.c $(r)/*/*.c)))
$(B)/planted/%.o: %.c
	@mkdir -p $(@D)
	$(call say,CC,$@)
	$(Q)$(CC) $(ALL_CFLAGS) -DWITH_PLANTED -c $< -o $@
$(B)/tests/worlds/planted_test.o: ALL_CFLAGS += -DWITH_PLANTED
$(B)/tests/worlds/planted_test: $(PLANTED)

units: $(UNIT) aids
aids: $(AIDS)
benches: $(BENCH)
fuzzers: $(FUZZERS)

# The targets below start make anew where they build: what `make deps` has just installed is seen only then.
JOBS = $(if $(findstring jobserver,$(MAKEFLAGS)),,-j$(shell nproc))

## make deps       installs what building, running and testing need (Debian, as root); quick when it is there
deps:
	@deploy/deps.sh

## make demo       the bundled model as one coordinator and three workers: a sum under mpirun, a capital, a picture
demo:
	@deploy/deps.sh --build
	@$(MAKE) -s --no-print-directory $(JOBS) all
	@echo '$$ mpirun --oversubscribe --bind-to none -n 4 $(B)/gemmapipe run --model $(DEMO) --temp 0 "What is 12 + 9?"'
	@$(ROOT_OK) mpirun --oversubscribe --bind-to none -n 4 $(B)/gemmapipe run --model $(DEMO) --temp 0 "What is 12 + 9?"
	@echo '$$ $(B)/gemmapipe run --model $(DEMO) --workers 3 --temp 0 "What is the capital of Peru?"'
	@$(B)/gemmapipe run --model $(DEMO) --workers 3 --temp 0 "What is the capital of Peru?"
	@echo '$$ $(B)/gemmapipe run --model $(DEMO) --mmproj $(DEMO_SEES) --image $(PICTURE) --workers 3 --temp 0 "Describe the picture."'
	@$(B)/gemmapipe run --model $(DEMO) --mmproj $(DEMO_SEES) --image $(PICTURE) --workers 3 --temp 0 "Describe the picture."

## make test       the tests, of the long ones those whose turn it is; T=wire: only programs and claims that hold the word
test:
	@B=$(B) SAN=$(SAN) tests/run $(T)

## make test-all   the same, and what takes minutes: a job killed fifty times, a job of a million lines
test-all:
	@LONG=1 B=$(B) SAN=$(SAN) tests/run $(T)

## make arm        the tests on an emulated 64-bit ARM, cross-compiled, but for those about this machine itself
arm:
	@tests/arm.sh --all $(T)

## make san        every test under address and undefined; links and the engine under thread
san:
	@tests/san $(T)

## make fuzz       each reader of foreign bytes for FUZZ_SECONDS=60 (needs clang, libomp-dev)
fuzz:
	@$(MAKE) -s --no-print-directory $(JOBS) B=build/fuzz CC=clang SAN=address,undefined,fuzzer-no-link fuzzers
	@B=build/fuzz tests/fuzz.sh $(FUZZ_SECONDS) $(T)

## make bench      the benchmarks of tests/bench, one after the other
bench:
	@$(MAKE) -s --no-print-directory $(JOBS) all benches
	@for b in $(BENCH); do echo "$$ $$b"; $$b || exit 1; done

## make rooms      who includes whom; fails on an arrow that points up
rooms:
	@tests/rooms.sh

## make install    into PREFIX=/usr/local (DESTDIR= before it), with manual pages, completions, the demo model; make uninstall
ROOT     = $(DESTDIR)$(PREFIX)
COMPLETE = $(foreach p,gemmapipe gemmapipe-worker gemmapipe-partition,\
           share/bash-completion/completions/$(p) share/fish/vendor_completions.d/$(p).fish) share/zsh/site-functions/_gemmapipe
install: all
	install -d $(ROOT)/bin $(ROOT)/share/man/man1 $(ROOT)/share/gemmapipe/demo $(ROOT)/share/doc/gemmapipe $(addprefix $(ROOT)/,$(dir $(COMPLETE)))
	install -m 755 $(PROGRAMS) $(ROOT)/bin
ifeq ($(MPI),1)
	install -d $(ROOT)/lib/gemmapipe
	install -m 644 $(PLUGIN) $(ROOT)/lib/gemmapipe
endif
	install -m 644 docs/man/*.1 $(ROOT)/share/man/man1
	install -m 644 models/demo/*.gguf models/demo/*.png $(ROOT)/share/gemmapipe/demo
	for f in $(COMPLETE); do case $$f in \
	  */fish/*) from=gemmapipe.fish ;; */zsh/*) from=_gemmapipe ;; *) from=gemmapipe.bash ;; esac; \
	  install -m 644 deploy/completion/$$from $(ROOT)/$$f || exit 1; done
	cp -r --no-preserve=all README.md CHANGELOG.md LICENSE docs deploy $(ROOT)/share/doc/gemmapipe
	rm -r $(ROOT)/share/doc/gemmapipe/docs/man
uninstall:
	rm -f $(patsubst $(B)/%,$(ROOT)/bin/%,$(PROGRAMS)) $(addprefix $(ROOT)/share/man/man1/,$(notdir $(wildcard docs/man/*.1))) $(addprefix $(ROOT)/,$(COMPLETE))
	rm -rf $(ROOT)/lib/gemmapipe $(ROOT)/share/gemmapipe $(ROOT)/share/doc/gemmapipe

## make dist       a tarball of this version, libraries included: unpacked anywhere it runs; ARCH=aarch64 needs the cross compiler
dist:
	@deploy/dist.sh $(ARCH)

## make clean      removes build/; V=1 with any target shows the commands
clean:
	rm -rf build

## make help       this list
help:
	@sed -n 's/^## //p' Makefile

.PHONY: all units aids benches fuzzers deps demo test test-all arm san fuzz bench rooms install uninstall dist clean help
.SECONDARY:
-include $(shell find $(B) -name '*.d' -type f 2>/dev/null)
