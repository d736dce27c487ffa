// The body of a prediction's answer, around arrays that are JSON already.
//
// Keys and their order are those of the documented answers (python/slipstream/http/schemas.py:
// PredictAnswer, BatchAnswer), which the general way writes; tests compare the two.
//
// Threads: any, each with its own `out`. Throws std::bad_alloc from growing `out` only.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace slipstream::wire {

struct AnswerTail {
  std::string_view model_id;  // these three: without anything that JSON would escape
  std::string_view request_id;
  std::string_view timestamp;
  double inference_time_s = 0;
  std::int64_t rows = 0;
};

// Everything behind the arrays, from `,"model_id"` to the closing brace.
void append_predict_tail(const AnswerTail& tail, std::string& out);  // of POST predict
void append_batch_tail(const AnswerTail& tail, std::string& out);    // of POST predict/batch

}  // namespace slipstream::wire
