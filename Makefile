# The extension, built with PGXS. The plain C++ layers have their own build for tests: CMakeLists.txt.
MODULE_big = datahike
EXTENSION = datahike
DATA = datahike--0.1.0.sql

SOURCES = $(wildcard src/column/*.cpp src/column/vector/*.cpp src/tree/*.cpp src/store/*.cpp \
                     src/iforest/*.cpp src/iforest/sql/*.cpp src/datom/*.cpp src/datom/sql/*.cpp \
                     src/datalog/*.cpp src/datalog/sql/*.cpp src/pg/*.cpp src/am/*.cpp \
                     src/versioning/*.cpp src/exec/*.cpp src/fdw/*.cpp src/csv/*.cpp src/csv/sql/*.cpp)
OBJS = $(SOURCES:.cpp=.o)

REGRESS = $(basename $(notdir $(wildcard sql/*.sql)))
REGRESS_OPTS = --load-extension=datahike

# Bitcode for JIT inlining would need clang with the same flags, and nothing here is worth inlining.
override with_llvm = no

# -fvisibility: another extension may carry its own copy of a library used here. -g1: lines for backtraces, in three quarters of
# the time.
PG_CXXFLAGS = -std=gnu++20 -O2 -g1 -fvisibility=hidden -Wall -Wextra -Werror -Wno-register -Wno-volatile \
              -Wno-unused-parameter -Wno-missing-field-initializers -Wno-sign-compare
# PostgreSQL 15 leaves PGDLLEXPORT empty here.
PG_CPPFLAGS = -I$(CURDIR)/src -D'PGDLLEXPORT=__attribute__((visibility("default")))'
SHLIB_LINK = -llmdb -llz4 -lcrypto -lhwy -ltbb -lstdc++

PG_CONFIG ?= pg_config
PGXS := $(shell $(PG_CONFIG) --pgxs)
include $(PGXS)

# Loops for the compiler's vectoriser; no fused multiply-add, whose results differ.
src/column/kernels.o: CXXFLAGS += -O3 -ffp-contract=off
src/column/vector/%.o: CXXFLAGS += -O3
# Scores are the same to the bit on every machine.
src/iforest/%.o: CXXFLAGS += -ffp-contract=off

# PostgreSQL's headers and the standard library's take half of the time of compiling what is made of them, so they are parsed
# once. `make PRECOMPILED=` builds without: a compiler that cannot use the file reads the header instead.
PRECOMPILED = src/pg/pg.h.gch
GLUE = $(filter src/pg/% src/am/% src/exec/% src/fdw/% src/versioning/% $(wildcard src/*/sql/*.cpp),$(SOURCES))
ifneq ($(PRECOMPILED),)
$(GLUE:.cpp=.o): $(PRECOMPILED)
$(GLUE:.cpp=.o): FORCED = -include src/pg/pg.h
$(PRECOMPILED): src/pg/pg.h
	$(CXX) $(CXXFLAGS) $(CPPFLAGS) -fPIC -MMD -MP -w -x c++-header -o $@ $<
endif

# Header dependencies: PGXS only has them with --enable-depend.
%.o: %.cpp
	$(CXX) $(CXXFLAGS) $(CPPFLAGS) -fPIC -MMD -MP $(FORCED) -c -o $@ $<
-include $(OBJS:.o=.d) $(PRECOMPILED:.gch=.d)
EXTRA_CLEAN = $(OBJS:.o=.d) src/pg/pg.h.gch src/pg/pg.h.d
