# SPDX-License-Identifier: MIT
# make              the tools, libtapsim.so, the nbdkit plugin for tests
# make demo         installs what is missing, builds, shows the main job
# make check        installs what is missing, builds, passes the tests
# make check-asan   the same under AddressSanitizer and UBSan; check-valgrind: a selection
# make check-xen    the tools on a real Xen with real guests, emulated: takes minutes
# make xen-shell    a shell in that Xen's dom0, with a guest ready to start
# make hostile-rate what hostile frontends cost a neighbour, measured: wants a quiet machine
# make check-tsan   the threaded server under ThreadSanitizer
# make coverage     which lines of lib/ the tests run
# make fail-nth     each call that the tools make fails once, one after the other
# make fuzz         random input for all that reads what a guest wrote, and random frontends against a
#                   whole server, FUZZ_SECONDS=60 for each target
# make bench-xen    compares with xen-blkback and QEMU in that Xen
# make docs         writes what is generated: parts of man/, all of completions/
# make lint         style only; make format repairs what a program can
# make install      DESTDIR= PREFIX=
# B=DIR builds elsewhere, SANITIZE=address,undefined with sanitizers, V=1 shows commands.

B	?= build
PREFIX	?= /usr/local
BINDIR	?= $(PREFIX)/sbin
LIBDIR	?= $(PREFIX)/lib/taptools
MANDIR	?= $(PREFIX)/share/man
BASHCOMPDIR ?= $(PREFIX)/share/bash-completion/completions
ZSHCOMPDIR  ?= $(PREFIX)/share/zsh/site-functions
SCRIPTDIR ?= /etc/xen/scripts
FISHCOMPDIR ?= $(PREFIX)/share/fish/vendor_completions.d
PKG_CONFIG ?= pkg-config
CFLAGS	?= -O2 -g
WERROR	?= -Werror
SANITIZE ?=

VERSION	:= $(shell git describe --tags --always --dirty 2>/dev/null || echo 0)

ifeq ($(V),)
Q := @
say = @printf '  %-4s %s\n' $(1) $(2)
else
say = @:
endif

WARN	= -Wall -Wextra -Wshadow -Wvla -Wformat=2 -Wimplicit-fallthrough -Wmissing-prototypes \
	  -Wstrict-prototypes -Wno-unused-parameter -Wno-missing-field-initializers $(WERROR)
# What a sanitizer adds hides the ranges of numbers from gcc's look at snprintf().
SAN	= $(if $(SANITIZE),-fsanitize=$(SANITIZE) -fno-omit-frame-pointer -fno-sanitize-recover=undefined \
	  $(if $(findstring clang,$(CC)),,-Wno-format-truncation))
OPT_LIBS = $(shell $(PKG_CONFIG) --exists libsystemd 2>/dev/null && echo libsystemd)
ALL_CFLAGS = -std=gnu11 -D_GNU_SOURCE -fPIC -pthread -iquote lib -iquote $(B) $(WARN) $(SAN) \
	  $(if $(OPT_LIBS),-DHAVE_SYSTEMD) $(CPPFLAGS) $(CFLAGS)
XEN_LIBS = -lxengnttab -lxenevtchn -lxenstore
ALL_LIBS = $(LDFLAGS) $(SAN) -pthread $(XEN_LIBS) -laio -ljson-c $(if $(OPT_LIBS),-lsystemd)

TOOLS	:= $(patsubst cmd/%.c,%,$(wildcard cmd/tap-*.c))
LIB_OBJ	:= $(patsubst %.c,$(B)/%.o,$(wildcard lib/*.c))
SO_SRC	:= $(wildcard lib/sim/preload*.c)
HV_OBJ	:= $(patsubst %.c,$(B)/%.o,$(filter-out $(SO_SRC),$(wildcard lib/sim/*.c)))
SO_OBJ	:= $(patsubst %.c,$(B)/preload/%.o,$(SO_SRC) lib/sim/wire.c)
UNIT_SRC := $(wildcard tests/unit/test-*.c tests/unit/sim-*.c)
UNIT	:= $(patsubst tests/unit/%.c,$(B)/unit/%,$(UNIT_SRC))
HELPERS	:= $(patsubst tests/sim/%.c,$(B)/sim/%,$(wildcard tests/sim/*.c))
FUZZ	:= $(patsubst tests/fuzz/%.c,%,$(wildcard tests/fuzz/*.c))
HOSTILE	:= $(B)/hostile/hostile
MODEL	:= $(B)/model/model
BATS	:= $(wildcard tests/*.bats tests/*/*.bats)
PLUGIN	:= $(if $(wildcard /usr/include/nbdkit-plugin.h),$(patsubst tests/nbdkit/%.c,$(B)/nbdkit-%-plugin.so,$(wildcard tests/nbdkit/*.c)))
SIM_SO	:= $(if $(SO_OBJ),$(B)/libtapsim.so)
ASAN_FIRST := $(if $(PLUGIN),$(if $(findstring address,$(SANITIZE)),$(B)/asan-first.so))

all: $(addprefix $(B)/,$(TOOLS)) $(SIM_SO) $(PLUGIN) $(ASAN_FIRST)
.PHONY: all
.DELETE_ON_ERROR:

$(B)/%.o: %.c $(B)/flags
	$(call say,CC,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<

# Rebuilt when the flags or the version change, and only then.
$(B)/flags: FORCE
	@mkdir -p $(B)
	@echo '$(CC) $(ALL_CFLAGS)' | cmp -s - $@ || echo '$(CC) $(ALL_CFLAGS)' > $@
$(B)/version.h: FORCE
	@mkdir -p $(B)
	@printf '#define %s "%s"\n' TAPTOOLS_VERSION '$(VERSION)' TAP_LIBDIR '$(LIBDIR)' > $@.new
	@cmp -s $@.new $@ || cp $@.new $@; rm $@.new
FORCE:
.PHONY: FORCE
$(B)/lib/opt.o $(B)/lib/sim/sim.o: $(B)/version.h

$(B)/libtap.a: $(LIB_OBJ)
	$(call say,AR,$@)
	$(Q)rm -f $@ && $(AR) rcs $@ $^

$(B)/tap-%: $(B)/cmd/tap-%.o $(B)/libtap.a
	$(call say,LD,$@)
	$(Q)$(CC) -o $@ $(filter %.o,$^) $(B)/libtap.a $(ALL_LIBS)
$(B)/tap-sim: $(HV_OBJ)
$(B)/tap-front: $(patsubst %.c,$(B)/%.o,$(wildcard cmd/front-*.c))
$(B)/tap-stat: $(patsubst %.c,$(B)/%.o,$(wildcard cmd/stat-*.c))
$(B)/tap-attach $(B)/unit/test-grants: XEN_LIBS += -lxencall
$(B)/tap-attach: $(patsubst %.c,$(B)/%.o,$(wildcard cmd/attach-*.c))

# Preloaded into programs that have no sanitizer, such as xenstored: so it has none either.
$(B)/preload/%.o: SAN =
$(B)/preload/%.o: %.c $(B)/flags
	$(call say,CC,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) -fvisibility=hidden -MMD -MP -c -o $@ $<

$(B)/libtapsim.so: $(SO_OBJ)
	$(call say,LD,$@)
	$(Q)$(CC) -shared -o $@ $^ $(LDFLAGS) -pthread -ldl

$(B)/nbdkit-%-plugin.so: $(B)/tests/nbdkit/%.o $(B)/libtap.a
	$(call say,LD,$@)
	$(Q)$(CC) -shared -o $@ $< $(B)/libtap.a $(ALL_LIBS)
# nbdkit has no sanitizer, so its library would start at the first malloc() of a constructor. That is
# libp11-kit's, in newlocale(): libc's lock for locales is held, the sanitizer's dlerror() wants it as well
# and releases it, newlocale() releases it again, and freelocale() waits for it in exit() for ever.
# Preloaded, this has nothing but the sanitizer's own constructor, and is the first of all.
$(B)/asan-first.so: $(B)/flags
	$(call say,LD,$@)
	$(Q)$(CC) $(ALL_CFLAGS) -shared -Wl,-z,initfirst -o $@ -x c /dev/null

$(B)/unit/%: $(B)/tests/unit/%.o $(B)/libtap.a
	$(call say,LD,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) -o $@ $< $(UNIT_EXTRA) $(B)/libtap.a $(ALL_LIBS) -lcmocka
$(B)/sim/%: $(B)/tests/sim/%.o
	$(call say,LD,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) -o $@ $< $(ALL_LIBS)
$(B)/fuzz/%: $(B)/tests/fuzz/%.o $(B)/libtap.a
	$(call say,LD,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) -fsanitize=fuzzer -o $@ $< $(B)/libtap.a $(ALL_LIBS)
$(HOSTILE): $(patsubst %.c,$(B)/%.o,$(wildcard tests/hostile/*.c)) $(B)/libtap.a
	$(call say,LD,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) -o $@ $^ $(ALL_LIBS)
$(MODEL): $(patsubst %.c,$(B)/%.o,$(wildcard tests/model/*.c) tests/hostile/hostile.c tests/hostile/asking.c) \
		$(B)/lib/sim/sim-ask.o $(B)/lib/sim/wire.o $(B)/libtap.a
	$(call say,LD,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) -o $@ $^ $(ALL_LIBS)
.SECONDARY:

# What is missing is installed before make looks for it: hence make in make.
demo:
	@tests/need demo $(B)
	@$(MAKE) --no-print-directory all
	@B=$(B) tests/demo

programs: all $(UNIT) $(HELPERS) $(HOSTILE) $(MODEL)

check:
	@tests/need check $(B)
	@$(MAKE) --no-print-directory programs
	@B=$(B) tests/run

# Style and documentation are the same whatever the compiler adds.
SAME_UNDER_ANY = tests/lint.bats tests/docs.bats
check-asan:
	@tests/need check build-asan
	@$(MAKE) --no-print-directory B=build-asan SANITIZE=address,undefined programs
	@B=build-asan tests/run $(UNIT_SRC) $(filter-out $(SAME_UNDER_ANY),$(BATS))

# gcc's ThreadSanitizer does not know the fences of the ring's protocol, which order shared memory and no
# thread of ours.
TSAN_BATS = tests/threads.bats tests/serve.bats tests/store-gone.bats tests/persistent.bats \
	    tests/model/model.bats
check-tsan:
	@tests/need check build-tsan
	@$(MAKE) --no-print-directory B=build-tsan SANITIZE=thread WERROR='-Werror -Wno-tsan' programs
	@B=build-tsan tests/run tests/unit/test-loop.c $(TSAN_BATS)

hostile-rate:
	@tests/need check $(B)
	@$(MAKE) --no-print-directory programs
	@B=$(B) tests/hostile/rate

coverage:
	@tests/need check build-coverage
	@find build-coverage -name '*.gcda' -delete 2>/dev/null || true
	@$(MAKE) --no-print-directory B=build-coverage CFLAGS='-O0 -g --coverage -fprofile-update=atomic' \
		LDFLAGS=--coverage programs
	@B=build-coverage tests/run $(UNIT_SRC) $(filter-out $(SAME_UNDER_ANY),$(BATS))
	@tests/coverage build-coverage

VALGRIND = valgrind --quiet --error-exitcode=99 --leak-check=full --errors-for-leak-kinds=definite
VALGRIND_BATS = tests/serve.bats tests/map.bats
# Its children end with what their parent had allocated.
VALGRIND_NOT = tests/unit/sim-fork.c
# The tools that a test runs are wrappers, made here, of those in B.
check-valgrind:
	@tests/need check $(B)
	@$(MAKE) --no-print-directory programs
	@mkdir -p $(B)/valgrind
	@for tool in $(filter-out tap-sim,$(TOOLS)); do \
		printf '#!/bin/sh\nexec $(VALGRIND) %s/$(B)/%s "$$@"\n' "$$PWD" $$tool \
			> $(B)/valgrind/$$tool && chmod +x $(B)/valgrind/$$tool; done
	@B=$(B) TOOLS_FIRST=$(B)/valgrind WRAP='$(VALGRIND)' \
		tests/run $(filter-out $(VALGRIND_NOT),$(UNIT_SRC)) $(VALGRIND_BATS)

# TARGETS='ring offer' fuzzes these only; SEED=N is where the model begins.
FUZZ_SECONDS ?= 60
FUZZ_MAKE = $(MAKE) --no-print-directory B=build-fuzz CC=clang
TARGETS ?= $(FUZZ) model
fuzz:
	@tests/need fuzz build-fuzz
	@$(FUZZ_MAKE) SANITIZE=fuzzer-no-link,address,undefined all $(FUZZ:%=build-fuzz/fuzz/%) \
		build-fuzz/model/model
	@FUZZ_SECONDS=$(FUZZ_SECONDS) tests/fuzz/run $(TARGETS)

# Each call that the tools make in tests/fail-nth.bats fails once: takes many minutes.
fail-nth:
	@tests/need check $(B)
	@$(MAKE) --no-print-directory programs
	@B=$(B) FAIL_POINTS=all BATS_TEST_TIMEOUT=3600 FILE_TIMEOUT=14400 tests/run tests/fail-nth.bats

# A real Xen, its dom0 and guests, in QEMU's software emulation. SCENARIOS='boot map' runs these only.
SCENARIOS ?=
check-xen:
	@tests/need xen $(B)
	@$(MAKE) --no-print-directory all
	@B=$(B) tests/xen/run $(SCENARIOS)

xen-shell:
	@tests/need xen $(B)
	@$(MAKE) --no-print-directory all
	@B=$(B) tests/xen/shell

bench-xen:
	@tests/need xen $(B)
	@$(MAKE) --no-print-directory all
	@B=$(B) tests/xen/bench

docs: all
	@rm -rf $(B)/docs && mkdir -p $(B)/docs
	@B=$(B) man/generate $(B)/docs
	@rm -rf completions && cp -r $(B)/docs/man $(B)/docs/completions .

lint:
	@B=$(B) tests/run tests/lint.bats

format:
	clang-format -i $$(git ls-files '*.[ch]')

install: all
	install -d $(DESTDIR)$(BINDIR) $(DESTDIR)$(LIBDIR) $(DESTDIR)$(BASHCOMPDIR) \
		$(DESTDIR)$(ZSHCOMPDIR) $(DESTDIR)$(FISHCOMPDIR)
	install -m 755 $(addprefix $(B)/,$(TOOLS)) $(DESTDIR)$(BINDIR)
	install -m 644 $(SIM_SO) $(DESTDIR)$(LIBDIR)
	for page in man/*.[1-9]; do \
		install -D -m 644 $$page $(DESTDIR)$(MANDIR)/man$${page##*.}/$${page##*/} || exit; done
	install -m 644 completions/bash/* $(DESTDIR)$(BASHCOMPDIR)
	install -m 644 completions/zsh/* $(DESTDIR)$(ZSHCOMPDIR)
	install -m 644 completions/fish/* $(DESTDIR)$(FISHCOMPDIR)
	install -D -m 755 cmd/block-taptools $(DESTDIR)$(SCRIPTDIR)/block-taptools

clean:
	rm -rf $(B)
.PHONY: demo programs check check-asan check-tsan hostile-rate check-valgrind coverage fuzz fail-nth check-xen xen-shell bench-xen docs lint format install clean

-include $(shell find $(B) -path $(B)/xen -prune -o -type f -name '*.d' -print 2>/dev/null)
