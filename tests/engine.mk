# Builds the engine without PHP, with sanitizers, and runs its tests:
#   make -f tests/engine.mk check            everything
#   make -f tests/engine.mk matrix           every crash point times every fault (minutes)
#   make -f tests/engine.mk build/engine/unit/test_codec && build/engine/unit/test_codec [part of a name]
# BUILD and ENGINE can be overridden to build only some sources elsewhere.
CC ?= gcc
BUILD ?= build/engine
SANITIZE ?= -fsanitize=address,undefined -fno-sanitize-recover=undefined
CPPFLAGS += -D_GNU_SOURCE -DMPQ_CRASH_POINTS -Isrc/engine -Itests/support -I$(BUILD) $(shell pkg-config --cflags hiredis libevent sqlite3)
CFLAGS += -std=c11 -O1 -g -fno-omit-frame-pointer -Wall -Wextra -Wshadow -Werror $(SANITIZE)
LDLIBS += $(shell pkg-config --libs hiredis libevent_core sqlite3)

ENGINE ?= $(wildcard src/engine/*.c)
OBJECTS = $(patsubst src/engine/%.c,$(BUILD)/%.o,$(ENGINE))
TESTS = $(patsubst tests/%.c,$(BUILD)/%,$(wildcard tests/unit/test_*.c tests/contract/test_*.c tests/chaos/test_*.c))

.PHONY: all check matrix clean
.SECONDARY:
all: $(TESTS)

check: all
	@tests/support/run-engine $(TESTS)

# Every crash point times every fault; `check` has one fault for each point.
matrix: $(BUILD)/chaos/test_matrix
	@MATRIX=all $<

$(BUILD)/redis_scripts_data.h: $(wildcard scripts/*.lua) scripts/embed
	@mkdir -p $(@D)
	sh scripts/embed scripts/*.lua > $@.tmp && mv $@.tmp $@

$(BUILD)/redis_scripts.o: $(BUILD)/redis_scripts_data.h

$(BUILD)/%.o: src/engine/%.c
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -c $< -o $@

$(BUILD)/support/%.o: tests/support/%.c
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -c $< -o $@

$(BUILD)/libmpq.a: $(OBJECTS)
	rm -f $@ && ar rcs $@ $^

# Every .c in tests/support is linked to every test; what a test does not need costs nothing.
SUPPORT = $(patsubst tests/support/%.c,$(BUILD)/support/%.o,$(wildcard tests/support/*.c))

$(BUILD)/%: tests/%.c $(SUPPORT) $(BUILD)/libmpq.a
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) -MMD $< $(SUPPORT) $(BUILD)/libmpq.a $(LDLIBS) -o $@

clean:
	rm -rf $(BUILD)

-include $(wildcard $(BUILD)/*.d $(BUILD)/*/*.d)
