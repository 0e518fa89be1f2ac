// CSV files on the server, read by COPY's parser.
//
// Everything here is plain data in PostgreSQL's memory: errors may be raised through it, and
// AllocateFile() closes the file with the transaction.
#pragma once

#include "pg/pg.h"

extern "C" {
#include "commands/copy.h"
}

namespace datahike::csv {

// What all functions of CSV files take, as COPY has it. Null pointers for COPY's defaults.
struct Format {
  const char* path;
  bool header;
  const char* delimiter;
  const char* quote;
  const char* escape;
  const char* null_string;
  const char* encoding;
};

// Arguments `first` and those after it, in the order of Format. Raises 42501 unless the caller may
// read the server's files, as COPY does.
Format format_arguments(FunctionCallInfo fcinfo, int first);

struct File {
  CopyFromState state;
  ErrorContextCallback context;  // "COPY read_csv, line 3, column a": pushed while the file is open
};

// Opens the file for rows of `columns`, one for each field of a line; only their names, types and
// typmods matter. Errors are COPY's.
void open_file(File* file, const Format& format, TupleDesc columns);
void close_file(File* file);

// The names of a file's fields: of the header's, or column1, column2, ... An empty name and one
// that is there already get another by adding a number. Returns how many; 0 for an empty file.
int field_names(const Format& format, char*** names);

}  // namespace datahike::csv
