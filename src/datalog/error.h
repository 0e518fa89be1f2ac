// What a query can be refused for.
#pragma once

#include <string>

#include "store/error.h"

namespace datahike::datalog {

struct QueryError : Error {
  // `sqlstate` is a literal of five characters.
  QueryError(const char* sqlstate, std::string message, std::string hint = "")
      : Error(std::move(message)), sqlstate(sqlstate), hint(std::move(hint)) {}
  const char* sqlstate;
  std::string hint;
};

inline constexpr const char* kSyntax = "42601";
inline constexpr const char* kUndefined = "42883";   // function or rule
inline constexpr const char* kUnbound = "42P10";     // a variable that nothing binds
inline constexpr const char* kMismatch = "42804";    // of kinds of values
inline constexpr const char* kInvalid = "22023";     // argument
inline constexpr const char* kOutOfRange = "22003";  // number
inline constexpr const char* kDivision = "22012";    // by zero
inline constexpr const char* kNotFound = "02000";    // lookup ref
inline constexpr const char* kMemory = "53200";
inline constexpr const char* kUnsupported = "0A000";

// Beyond the memory of a query. Raised where nothing of a source is under way, so it may be caught.
struct OutOfMemory : QueryError {
  OutOfMemory()
      : QueryError(kMemory, "the query needs more memory than work_mem allows",
                   "Raise work_mem, or make the query's clauses more selective.") {}
};

}  // namespace datahike::datalog
