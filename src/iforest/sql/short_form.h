// The short form of the anomaly_* functions: anomaly_score('m') in a query stands for
// anomaly_score('m', feature1, feature2, ...), where the features are columns of its FROM clause.
#pragma once

namespace datahike::anomaly {

void install_short_form();

}  // namespace datahike::anomaly
