# gemmapipe — Gemma 3 as a relay of processes. `make help` lists what can be made.

B       ?= build
CC      ?= gcc
PREFIX  ?= /usr/local
SAN     ?=
T       ?=

ARCH    := $(shell $(CC) -dumpmachine | cut -d- -f1)
WARN    := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes
# -ffp-contract=off: an fma is written where one is meant, so that every instruction set gives the same bits.
CFLAGS  ?= -O2 -g
ALL_CFLAGS := -std=gnu11 $(CFLAGS) $(WARN) -ffp-contract=off -fopenmp -I. -MMD -MP $(if $(SAN),-fsanitize=$(SAN) -fno-omit-frame-pointer)
LDLIBS  := -lxxhash -lm -lpthread
ZMQ     = $(shell pkg-config --libs libzmq)
CJSON   = $(shell pkg-config --libs libcjson)
MPI_INC = $(shell pkg-config --cflags ompi-c 2>/dev/null || mpicc --showme:compile)
MPI     = $(shell pkg-config --libs ompi-c 2>/dev/null || mpicc --showme:link)
ALL_LDFLAGS := -fopenmp -Wl,--as-needed $(if $(SAN),-fsanitize=$(SAN)) $(LDFLAGS)

ifneq ($(V),1)
Q := @
say = @printf '  %-6s %s\n' $(1) $(2)
endif

ROOMS   := base partition transport worker coordinator
MAINS   := coordinator/main.c worker/main.c partition/main.c
ISA_x86_64  := avx2 avx512
ISA_aarch64 := neon
KERNELS := $(filter-out $(foreach i,avx2 avx512 neon,worker/kernels/$(i).c),$(wildcard worker/kernels/*.c)) \
           $(wildcard $(foreach i,$(ISA_$(ARCH)),worker/kernels/$(i).c))
SOURCES = $(filter-out $(MAINS),$(wildcard $(1)/*.c)) $(if $(filter worker,$(1)),$(KERNELS))
objects = $(patsubst %.c,$(B)/%.o,$(1))
LIBS    := $(foreach r,coordinator worker partition transport base,$(B)/lib$(r).a)
PROGRAMS := $(B)/gemmapipe $(B)/gemmapipe-worker $(B)/gemmapipe-partition
UNIT    := $(patsubst tests/%.c,$(B)/tests/%,$(wildcard tests/unit/*_test.c tests/links/*_test.c tests/fuzz/*_test.c))

## make            build/gemmapipe, gemmapipe-worker, gemmapipe-partition
all: $(PROGRAMS)

$(B)/worker/kernels/avx2.o:   ALL_CFLAGS += -O3 -mavx2 -mfma -mf16c
$(B)/worker/kernels/avx512.o: ALL_CFLAGS += -O3 -mavx512f -mavx512bw -mavx512vl -mavx512dq -mavx512vnni -mavx2 -mfma -mf16c
$(B)/worker/kernels/neon.o:   ALL_CFLAGS += -O3 -march=armv8.2-a+dotprod
$(B)/transport/mpi.o:         ALL_CFLAGS += $(MPI_INC)

$(B)/%.o: %.c
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(CC) $(ALL_CFLAGS) -c $< -o $@

define library
$(B)/lib$(1).a: $$(call objects,$$(call SOURCES,$(1)))
	$$(call say,AR,$$@)
	$$(Q)rm -f $$@ && ar rcs $$@ $$^
endef
$(foreach r,$(ROOMS),$(eval $(call library,$(r))))

$(B)/gemmapipe: $(B)/coordinator/main.o $(LIBS)
$(B)/gemmapipe-worker: $(B)/worker/main.o $(filter-out %libcoordinator.a,$(LIBS))
$(B)/gemmapipe-partition: $(B)/partition/main.o $(B)/libpartition.a $(B)/libbase.a
$(PROGRAMS):
	$(call say,LD,$@)
	$(Q)$(CC) $^ $(ALL_LDFLAGS) $(ZMQ) $(CJSON) $(MPI) $(LDLIBS) -o $@

$(B)/tests/%: $(B)/tests/%.o $(B)/tests/check.o $(LIBS)
	$(call say,LD,$@)
	$(Q)$(CC) $^ $(ALL_LDFLAGS) $(ZMQ) $(CJSON) $(MPI) $(LDLIBS) -o $@

units: $(UNIT)

.PHONY: all units
.SECONDARY:
-include $(shell find $(B) -name '*.d' 2>/dev/null)
