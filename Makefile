# SPDX-License-Identifier: MIT
# make              the tools, libtapsim.so, the nbdkit plugin for tests
# make demo         installs what is missing, builds, shows the main job
# make check        installs what is missing, builds, passes the tests
# make docs         writes what is generated: parts of man/, all of completions/
# make install      DESTDIR= PREFIX=
# B=DIR builds elsewhere, SANITIZE=address,undefined with sanitizers, V=1 shows commands.

B	?= build
PREFIX	?= /usr/local
BINDIR	?= $(PREFIX)/sbin
LIBDIR	?= $(PREFIX)/lib/taptools
MANDIR	?= $(PREFIX)/share/man
BASHCOMPDIR ?= $(PREFIX)/share/bash-completion/completions
ZSHCOMPDIR  ?= $(PREFIX)/share/zsh/site-functions
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
SAN	= $(if $(SANITIZE),-fsanitize=$(SANITIZE) -fno-omit-frame-pointer -fno-sanitize-recover=undefined)
OPT_LIBS = $(shell $(PKG_CONFIG) --exists libsystemd 2>/dev/null && echo libsystemd)
ALL_CFLAGS = -std=gnu11 -D_GNU_SOURCE -fPIC -pthread -iquote lib -iquote $(B) $(WARN) $(SAN) \
	  $(if $(OPT_LIBS),-DHAVE_SYSTEMD) $(CPPFLAGS) $(CFLAGS)
XEN_LIBS = -lxengnttab -lxenevtchn -lxenstore
ALL_LIBS = $(LDFLAGS) $(SAN) -pthread $(XEN_LIBS) -laio -ljson-c $(if $(OPT_LIBS),-lsystemd)

TOOLS	:= $(patsubst cmd/%.c,%,$(wildcard cmd/tap-*.c))
LIB_OBJ	:= $(patsubst %.c,$(B)/%.o,$(wildcard lib/*.c))
HV_OBJ	:= $(patsubst %.c,$(B)/%.o,$(wildcard lib/sim/hv*.c))
SO_OBJ	:= $(patsubst %.c,$(B)/%.o,$(wildcard lib/sim/preload*.c))
UNIT	:= $(patsubst tests/unit/%.c,$(B)/unit/%,$(wildcard tests/unit/test-*.c))
PLUGIN	:= $(patsubst tests/nbdkit/%.c,$(B)/nbdkit-%-plugin.so,$(wildcard tests/nbdkit/*.c))
SIM_SO	:= $(if $(SO_OBJ),$(B)/libtapsim.so)

all: $(addprefix $(B)/,$(TOOLS)) $(SIM_SO) $(PLUGIN)
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
	@echo '#define TAPTOOLS_VERSION "$(VERSION)"' | cmp -s - $@ || \
		echo '#define TAPTOOLS_VERSION "$(VERSION)"' > $@
FORCE:
.PHONY: FORCE
$(B)/lib/opt.o: $(B)/version.h

$(B)/libtap.a: $(LIB_OBJ)
	$(call say,AR,$@)
	$(Q)rm -f $@ && $(AR) rcs $@ $^

$(B)/tap-%: $(B)/cmd/tap-%.o $(B)/libtap.a
	$(call say,LD,$@)
	$(Q)$(CC) -o $@ $(filter %.o,$^) $(B)/libtap.a $(ALL_LIBS)
$(B)/tap-sim: $(HV_OBJ)

$(B)/libtapsim.so: $(SO_OBJ)
	$(call say,LD,$@)
	$(Q)$(CC) -shared -o $@ $^ $(LDFLAGS) $(SAN) -pthread -ldl

$(B)/nbdkit-%-plugin.so: $(B)/tests/nbdkit/%.o $(B)/libtap.a
	$(call say,LD,$@)
	$(Q)$(CC) -shared -o $@ $< $(B)/libtap.a $(ALL_LIBS)

$(B)/unit/%: $(B)/tests/unit/%.o $(B)/libtap.a
	$(call say,LD,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) -o $@ $< $(UNIT_EXTRA) $(B)/libtap.a $(ALL_LIBS) -lcmocka
.SECONDARY:

clean:
	rm -rf $(B)
.PHONY: clean

-include $(shell find $(B) -name '*.d' 2>/dev/null)
