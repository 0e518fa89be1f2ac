// The errors that the plain C++ layers throw. src/pg turns each class into an SQLSTATE.
#pragma once

#include <stdexcept>
#include <string>

namespace datahike {

// Base of all errors of the plain layers; never thrown itself.
struct Error : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// A node, segment or record is damaged: named in the message. SQLSTATE XX001.
struct CorruptError : Error {
  using Error::Error;
};

// The store was written by a newer or older library, or belongs to another cluster. SQLSTATE 55000.
struct FormatError : Error {
  using Error::Error;
};

// The map is full or the disk is full. SQLSTATE 53100.
struct FullError : Error {
  using Error::Error;
};

// A commit was there and has been collected: named in the message. SQLSTATE 72000.
struct CollectedError : Error {
  using Error::Error;
};

// The operating system refused to read or write. SQLSTATE 58030.
struct IoError : Error {
  using Error::Error;
};

// A value that the format cannot hold (too many columns, a value over 1 GB). SQLSTATE 54000.
struct LimitError : Error {
  using Error::Error;
};

}  // namespace datahike
