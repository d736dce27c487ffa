// ModelStats: what a served model has done, counted on the hot path with relaxed atomics only.
#pragma once

#include <cstdint>

#include "core/clock.h"
#include "core/stats/histogram.h"
#include "core/stats/relaxed_counter.h"
#include "core/stats/rows_histogram.h"

namespace slipstream {

// Where a request's time goes, in order. `total` runs from admission to completion.
struct StageHistograms {
  Histogram queue;     // admission until an instance took it
  Histogram batch;     // forming the batch, per execution
  Histogram stage;     // gathering inputs, per execution
  Histogram execute;   // Instance::execute, per execution
  Histogram complete;  // scattering and handing over the answers, per execution
  Histogram total;     // per request
};

struct ModelStats {
  RelaxedCounter succeeded;
  RelaxedCounter failed;     // the backend's error, or the model's unloading
  RelaxedCounter rejected;   // refused at admission: full, or too late already
  RelaxedCounter abandoned;  // expired or cancelled before an answer
  RelaxedCounter rows;       // of succeeded requests
  RowsHistogram executions;  // of how many rows
  RelaxedCounter inline_executions;
  RelaxedCounter execute_ns_sum;
  RelaxedGauge<std::int64_t> last_execute_ns;
  RelaxedGauge<std::int64_t> last_used_ns;  // now_ns() of the last end; 0: never
  RelaxedGauge<std::int64_t> max_batch_rows_seen;
  StageHistograms stages;
};

}  // namespace slipstream
