# Leasekeeper. `make` builds, `make demo` shows, `make test` proves; README.md names the rest.
CC      ?= cc
PREFIX  ?= /usr/local
SAN     ?=
WERROR  ?= -Werror
PYTHON  ?= /usr/bin/python3
VERSION := 0.1.0

VARIANT := $(if $(SAN),san,$(if $(findstring clang,$(CC)),clang,release))
BUILD   ?= build/$(VARIANT)

WARN  := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wcast-qual -Wwrite-strings -Wformat=2 \
         -Wimplicit-fallthrough -Wvla -Wundef $(WERROR)
HARD  := -fstack-protector-strong -fstack-clash-protection -fcf-protection -fPIE $(if $(SAN),,-U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3)
OPT   ?= $(if $(SAN),-O1 -fno-omit-frame-pointer,-O2)
SANF  := $(if $(SAN),-fsanitize=$(SAN) -fno-sanitize-recover=all)
PKGS_COMMON := libevent libevent_pthreads libsystemd jansson openssl
PKGS_AGENT  := $(PKGS_COMMON) libcurl
PKGS_APP    := $(PKGS_COMMON) libevent_openssl mysqlclient
PKGS_ALL    := $(PKGS_AGENT) libevent_openssl mysqlclient
CPPFLAGS += -I. -D_GNU_SOURCE -DLEASEKEEPER_VERSION='"$(VERSION)"'
CFLAGS   += -std=gnu17 -g $(OPT) $(WARN) $(HARD) $(SANF)
LDFLAGS  += -pie -Wl,-z,relro,-z,now,-z,noexecstack -Wl,--as-needed -pthread $(SANF)
cflags_of = $(shell pkg-config --cflags $(1) 2>/dev/null)
libs_of   = $(shell pkg-config --libs $(1) 2>/dev/null)
Q := $(if $(V),,@)
say = $(if $(V),,@printf '  %-5s %s\n' $(1) $(2))

SRC_COMMON := $(wildcard common/*.c)
SRC_CTL    := $(wildcard agent/ctl*.c)
SRC_AGENT  := $(filter-out $(SRC_CTL),$(wildcard agent/*.c))
SRC_APP    := $(wildcard app/*.c)
SRC_UNIT   := $(wildcard tests/unit/test_*.c tests/sim/test_*.c)
obj = $(patsubst %.c,$(BUILD)/%.o,$(1))
UNIT_BIN   := $(patsubst %.c,$(BUILD)/%,$(SRC_UNIT))
BIN        := $(BUILD)/leasekeeperd $(BUILD)/leasekeeper $(BUILD)/notesd

.PHONY: all binaries deps deps-demo lint unit integration browser test sanitize demo fuzz bench install uninstall map format clean \
        db-users db-query-logs vault-revoke rotate
binaries: $(BIN)
all: $(BIN)
	$(Q)mkdir -p build && $(foreach b,$(BIN),ln -sfn $(patsubst build/%,%,$(b)) build/$(notdir $(b)) &&) true

$(BUILD)/%.o: %.c
	$(call say,CC,$<)
	$(Q)mkdir -p $(@D) && $(CC) $(CPPFLAGS) $(call cflags_of,$(PKGS_ALL) $(if $(findstring tests/,$<),cmocka)) $(CFLAGS) -MMD -MP -c -o $@ $<

$(BUILD)/libcommon.a: $(call obj,$(SRC_COMMON))
$(BUILD)/libagent.a: $(call obj,$(filter-out agent/main.c,$(SRC_AGENT)))
$(BUILD)/libctl.a: $(call obj,$(filter-out agent/ctl_main.c,$(SRC_CTL)))
$(BUILD)/libapp.a: $(call obj,$(filter-out app/main.c,$(SRC_APP)))
$(BUILD)/libsupport.a: $(call obj,$(wildcard tests/unit/support*.c tests/sim/support*.c))
$(BUILD)/%.a:
	$(Q)mkdir -p $(@D) && rm -f $@ && ar rcs $@ $^

$(BUILD)/leasekeeperd: $(BUILD)/agent/main.o $(BUILD)/libagent.a $(BUILD)/libcommon.a
	$(call say,LD,$@)
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(call libs_of,$(PKGS_AGENT))
$(BUILD)/leasekeeper: $(BUILD)/agent/ctl_main.o $(BUILD)/libctl.a $(BUILD)/libcommon.a
	$(call say,LD,$@)
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(call libs_of,$(PKGS_COMMON))
$(BUILD)/notesd: $(BUILD)/app/main.o $(BUILD)/libapp.a $(BUILD)/libcommon.a
	$(call say,LD,$@)
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(call libs_of,$(PKGS_APP))

# A unit test links what it uses from the three libraries; the daemons' own main.o is never among it.
$(UNIT_BIN): $(BUILD)/%: $(BUILD)/%.o $(BUILD)/libsupport.a $(BUILD)/libagent.a $(BUILD)/libctl.a $(BUILD)/libapp.a $(BUILD)/libcommon.a
	$(call say,LD,$@)
	$(Q)$(CC) $(LDFLAGS) -o $@ $(filter %.o,$^) -Wl,--start-group $(filter %.a,$^) -Wl,--end-group $(call libs_of,$(PKGS_ALL) cmocka)

deps:
	$(Q)tests/deps.sh
deps-demo:
	$(Q)tests/deps.sh demo
lint:
	$(Q)PYTHON=$(PYTHON) tests/lint/run.sh
unit: $(UNIT_BIN)
	$(Q)tests/run-unit.sh $(UNIT_BIN)
integration: all
	$(Q)tests/run-integration.sh $(PYTEST_ARGS)
test: deps
	$(Q)tests/run-all.sh
sanitize: deps
	$(Q)tests/run-sanitize.sh
demo: deps-demo
	$(Q)$(MAKE) --no-print-directory all && exec $(PYTHON) compose/local/demo.py
db-users db-query-logs vault-revoke rotate:
	$(Q)exec $(PYTHON) compose/local/demo.py $@

install: all
	install -D -m 0755 $(BUILD)/leasekeeperd $(DESTDIR)$(PREFIX)/sbin/leasekeeperd
	install -D -m 0755 $(BUILD)/notesd $(DESTDIR)$(PREFIX)/sbin/notesd
	install -D -m 0755 $(BUILD)/leasekeeper $(DESTDIR)$(PREFIX)/bin/leasekeeper
uninstall:
	rm -f $(DESTDIR)$(PREFIX)/sbin/leasekeeperd $(DESTDIR)$(PREFIX)/sbin/notesd $(DESTDIR)$(PREFIX)/bin/leasekeeper

format:
	clang-format -i $(wildcard common/*.[ch] agent/*.[ch] app/*.[ch] tests/unit/*.[ch] tests/sim/*.[ch] tests/fuzz/*.[ch])
map:
	$(Q)for f in common/*.h agent/*.h app/*.h; do sed -n '1,4s,^/\{0,1\} \{0,1\}\*\{1,2\} \{0,1\}\([a-z]*/.*\.h: .*\),\1,p' $$f | head -n 1; done
clean:
	rm -rf build
-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)
