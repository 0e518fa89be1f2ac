// The columns of datahike.tx_log.
#pragma once

namespace datahike::pg {

enum LogColumn {
  kBranch = 1,
  kXid,
  kPart,
  kKind,
  kLsn,
  kAt,
  kAuthor,
  kMessage,
  kDelta,
  kRows,
  kParents
};
inline constexpr int kLogColumns = 11;
inline constexpr int kLogKeyColumns = 3;  // the first ones

}  // namespace datahike::pg
