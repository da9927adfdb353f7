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
# Branch protection by the processor has another name on each architecture, or none.
BRANCH := $(or $(if $(findstring x86_64,$(shell $(CC) -dumpmachine)),-fcf-protection),$(if $(findstring aarch64,$(shell $(CC) -dumpmachine)),-mbranch-protection=standard))
HARD  := -fstack-protector-strong -fstack-clash-protection $(BRANCH) -fPIE $(if $(SAN),,-U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3)
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

.PHONY: all binaries deps deps-demo lint unit mutants integration browser test sanitize demo fuzz fuzz-targets bench soak screenshots install uninstall deb test-deploy test-vm map format clean \
        up down images base-image logs db-users db-query-logs vault-revoke rotate
binaries: $(BIN)
all: $(BIN)
	$(Q)mkdir -p build && $(foreach b,$(BIN),ln -sfn $(patsubst build/%,%,$(b)) build/$(notdir $(b)) &&) true

$(BUILD)/%.o: %.c
	$(call say,CC,$<)
	$(Q)mkdir -p $(@D) && $(CC) $(CPPFLAGS) $(call cflags_of,$(PKGS_ALL) $(if $(findstring tests/,$<),cmocka)) $(CFLAGS) -MMD -MP -c -o $@ $<

$(BUILD)/app/assets.o: $(wildcard app/*.json app/*.css app/*.svg app/*.js)
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

# The whole agent in a simulated world: these stand in for clock, loop and HTTP client.
$(BUILD)/tests/sim/test_agent $(BUILD)/tests/sim/test_moments: $(BUILD)/tests/sim/world.o $(BUILD)/tests/sim/world_vault.o

FUZZ_BIN := $(patsubst %.c,$(BUILD)/%,$(wildcard tests/fuzz/fuzz_*.c))
fuzz-targets: $(FUZZ_BIN)
$(FUZZ_BIN): $(BUILD)/%: $(BUILD)/%.o $(BUILD)/libagent.a $(BUILD)/libapp.a $(BUILD)/libcommon.a
	$(call say,LD,$@)
	$(Q)$(CC) $(LDFLAGS) -fsanitize=fuzzer -o $@ $(filter %.o,$^) -Wl,--start-group $(filter %.a,$^) -Wl,--end-group $(call libs_of,$(PKGS_ALL))

deps:
	$(Q)tests/deps.sh
deps-demo:
	$(Q)tests/deps.sh demo
lint:
	$(Q)PYTHON=$(PYTHON) tests/lint/run.sh
unit: $(UNIT_BIN)
	$(Q)tests/run-unit.sh $(UNIT_BIN)
mutants:
	$(Q)tests/run-mutants.sh
integration: all
	$(Q)tests/run-integration.sh $(PYTEST_ARGS)
test: deps
	$(Q)tests/run-all.sh
fuzz: deps
	$(Q)tests/run-fuzz.sh
sanitize: deps
	$(Q)tests/run-sanitize.sh
soak: deps all
	$(Q)exec $(PYTHON) -B tests/soak.py
screenshots: deps all
	$(Q)SCREENSHOTS=docs tests/run-integration.sh -k test_axe_finds_nothing
bench: deps all
	$(Q)tests/bench/deps.sh && exec $(PYTHON) -B tests/bench/bench.py $(BENCH_ARGS)
demo: deps-demo
	$(Q)$(MAKE) --no-print-directory all && exec $(PYTHON) compose/local/demo.py
# Containers. The last four: against the demo or the stack, whichever is up.
up down images base-image logs db-users db-query-logs vault-revoke rotate:
	$(Q)exec $(PYTHON) -B compose/stack.py $@

SYSCONF_DIR ?= $(if $(filter /usr /usr/local,$(PREFIX)),/etc,$(PREFIX)/etc)
UNIT_DIR    ?= $(PREFIX)/lib/systemd/system
UNITS       := leasekeeperd.service leasekeeperd.socket notesd.service notesd.socket run-leasekeeper.mount
MAN_PAGES   := $(wildcard docs/*.[158])
DOC_DIR     := $(PREFIX)/share/doc/leasekeeper
install: $(BIN)
	install -D -m 0755 $(BUILD)/leasekeeperd $(DESTDIR)$(PREFIX)/sbin/leasekeeperd
	install -D -m 0755 $(BUILD)/notesd $(DESTDIR)$(PREFIX)/sbin/notesd
	install -D -m 0755 $(BUILD)/leasekeeper $(DESTDIR)$(PREFIX)/bin/leasekeeper
	install -d $(DESTDIR)$(UNIT_DIR)
	for u in $(UNITS); do f=systemd/$$u; [ -e $$f ] || f=$$f.in; \
	        sed 's,@sbindir@,$(PREFIX)/sbin,; s,@sysconfdir@,$(SYSCONF_DIR),' $$f >$(DESTDIR)$(UNIT_DIR)/$$u && \
	        chmod 0644 $(DESTDIR)$(UNIT_DIR)/$$u || exit 1; done
	install -D -m 0644 systemd/leasekeeper.sysusers.conf $(DESTDIR)$(PREFIX)/lib/sysusers.d/leasekeeper.conf
	install -D -m 0644 systemd/leasekeeper.tmpfiles.conf $(DESTDIR)$(PREFIX)/lib/tmpfiles.d/leasekeeper.conf
	[ -e $(DESTDIR)$(SYSCONF_DIR)/default/notesd ] || \
	        install -D -m 0644 systemd/notesd.default $(DESTDIR)$(SYSCONF_DIR)/default/notesd
	install -D -m 0644 systemd/leasekeeperd.hcl.example $(DESTDIR)$(DOC_DIR)/examples/agent.hcl
	install -D -m 0644 app/schema.sql $(DESTDIR)$(DOC_DIR)/examples/schema.sql
	for p in $(MAN_PAGES); do install -D -m 0644 $$p $(DESTDIR)$(PREFIX)/share/man/man$${p##*.}/$${p##*/} || exit 1; done
# What an operator wrote under /etc stays.
uninstall:
	rm -f $(addprefix $(DESTDIR)$(PREFIX)/,sbin/leasekeeperd sbin/notesd bin/leasekeeper lib/sysusers.d/leasekeeper.conf \
	        lib/tmpfiles.d/leasekeeper.conf) $(addprefix $(DESTDIR)$(UNIT_DIR)/,$(UNITS))
	rm -f $(foreach p,$(MAN_PAGES),$(DESTDIR)$(PREFIX)/share/man/man$(subst .,,$(suffix $(p)))/$(notdir $(p)))
	rm -rf $(DESTDIR)$(DOC_DIR)
deb:
	$(Q)systemd/make-deb.sh $(VERSION)
test-deploy: deps
	$(Q)tests/run-deploy.sh $(PYTEST_ARGS)
test-vm: deps
	$(Q)tests/run-vm.sh $(PYTEST_ARGS)

format:
	clang-format -i $(wildcard common/*.[ch] agent/*.[ch] app/*.[ch] tests/unit/*.[ch] tests/sim/*.[ch] tests/fuzz/*.[ch])
map:
	$(Q)awk 'FNR == 1 || (FNR == 2 && !done) { line = $$0; gsub("^/?[*]+ ?| ?[*]/$$| [*] ", "", line); done = FNR == 1 ? 0 : done; \
	        if (line ~ /^[a-z]+\/[a-z_]+\.h: /) { print line; done = 1 } }' common/*.h agent/*.h app/*.h
clean:
	rm -rf build
-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)
