# Builds the fuzz targets, with libFuzzer where FUZZER says so, else with the main of replay.c:
#   make -f tests/fuzz/fuzz.mk FUZZER=1 all        into build/fuzz
#   make -f tests/fuzz/fuzz.mk all                 into build/replay
ifdef FUZZER
CC = clang
BUILD ?= build/fuzz
SANITIZE = -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=undefined
DRIVE = -fsanitize=fuzzer
else
BUILD ?= build/replay
DRIVE = $(BUILD)/fuzz/replay.o
endif

FUZZ_TARGETS = $(patsubst tests/fuzz/fuzz_%.c,$(BUILD)/fuzz_%,$(wildcard tests/fuzz/fuzz_*.c))
.DEFAULT_GOAL = fuzz
.PHONY: fuzz
fuzz: $(FUZZ_TARGETS)

include tests/engine.mk

# The Redis driver talks to a fake server in the same process, by a clock of its own.
$(BUILD)/fuzz_redis: WRAP = -Wl,--wrap=poll,--wrap=recv,--wrap=mpq_clock_monotonic_ms,--wrap=redisConnectUnixWithTimeout
$(BUILD)/fuzz_redis: $(addprefix $(BUILD)/fuzz/,fake_redis.o fake_answers.o fake_held.o)
$(BUILD)/fuzz_board: WRAP = -Wl,--wrap=mpq_clock_monotonic_ms,--wrap=mpq_clock_monotonic_us

$(BUILD)/fuzz/%.o: tests/fuzz/%.c
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) -Itests/fuzz $(CFLAGS) -MMD -c $< -o $@

$(BUILD)/fuzz_%: $(BUILD)/fuzz/fuzz_%.o $(BUILD)/fuzz/fuzz.o $(BUILD)/fuzz/replay.o $(BUILD)/libmpq.a
	$(CC) $(CFLAGS) $(filter-out %/replay.o,$(filter %.o,$^)) $(DRIVE) $(BUILD)/libmpq.a $(WRAP) $(LDLIBS) -o $@
