#include "wire/predict_answer.h"

#include <algorithm>
#include <array>
#include <charconv>

namespace slipstream::wire {
namespace {

void append_number(double value, std::string& out) {
  std::array<char, 32> text;
  const auto [end, error] = std::to_chars(text.data(), text.data() + text.size(), value);
  const std::string_view written(text.data(), static_cast<std::size_t>(end - text.data()));
  out.append(written);
  if (written.find_first_of(".e") == std::string_view::npos) out.append(".0");
}

void append_ids(const AnswerTail& tail, std::string& out) {
  out.append(",\"request_id\":\"").append(tail.request_id);
  out.append("\",\"timestamp\":\"").append(tail.timestamp).append("\"}");
}

}  // namespace

void append_predict_tail(const AnswerTail& tail, std::string& out) {
  out.append(",\"model_id\":\"").append(tail.model_id).append("\",\"inference_time\":");
  append_number(tail.inference_time_s, out);
  append_ids(tail, out);
}

void append_batch_tail(const AnswerTail& tail, std::string& out) {
  out.append(",\"model_id\":\"").append(tail.model_id).append("\",\"batch_size\":");
  out.append(std::to_string(tail.rows)).append(",\"total_inference_time\":");
  append_number(tail.inference_time_s, out);
  out.append(",\"average_inference_time\":");
  append_number(tail.inference_time_s / static_cast<double>(std::max<std::int64_t>(1, tail.rows)),
                out);
  append_ids(tail, out);
}

}  // namespace slipstream::wire
