// Facts as a foreign server shows them, of this database or of another store.
#pragma once

#include "datom/sql/reader.h"
#include "fdw/options.h"

namespace datahike::fdw {

// Functions throw. Attributes are those of the view and stay valid as long as the feed.
class FactFeed {
 public:
  virtual ~FactFeed() = default;
  virtual const datom::Attribute* attribute(int64_t id) = 0;
  virtual const datom::Attribute* attribute(std::string_view ident) = 0;
  virtual std::vector<const datom::Attribute*> attributes() = 0;
  // As Reader::scan, with e, a and one value as what is asked for.
  virtual void scan(const facts::Pattern& pattern, const facts::Reader::Batch& batch) = 0;
};

// With the privileges of `role`, and in this database what this transaction has written to the
// server's branch. REQUIRES: an active snapshot.
std::unique_ptr<FactFeed> open_feed(const ServerOptions& options, Oid role);

}  // namespace datahike::fdw
