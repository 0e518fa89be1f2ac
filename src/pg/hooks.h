// Hooks into the planner, the executor and utility commands, and the transaction callbacks.
#pragma once

namespace datahike::pg {

void install_executor_hooks();
void forget_queries();  // at the end of the transaction: an error skips the executor's end
void install_utility_hook();
void install_transaction_callbacks();

}  // namespace datahike::pg
