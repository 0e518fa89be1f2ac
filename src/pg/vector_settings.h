// Settings of the vector engine.
#pragma once

namespace datahike::pg {

extern bool setting_vectorized;          // datahike.vectorized
extern int setting_vectorized_min_rows;  // datahike.vectorized_min_rows: by the planner's estimate
extern int setting_threads;              // datahike.threads: 0 = as many as there are processors

void define_vector_settings();

}  // namespace datahike::pg
