// What datahike.verify(true) finds in models: no checksum of the store tells that what somebody has
// written to a model's table by hand is no forest.
#pragma once

#include <functional>
#include <string>

namespace datahike::anomaly {

// Decodes every version of every model that can be read on a branch, each once, and reports those
// that cannot be decoded. Whoever calls it may see all models.
void find_damaged_models(const std::function<void(const std::string& detail)>& report);

}  // namespace datahike::anomaly
