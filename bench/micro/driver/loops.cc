// Loops over reading and writing numbers: ours, and the standard library's with as little around it
// as can be. Each returns nanoseconds, or -1 when it could not do its work.
#include <array>
#include <charconv>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <memory>
#include <memory_resource>
#include <string>

#include "core/tensor.h"
#include "export.h"
#include "wire/decode.h"
#include "wire/encode.h"

namespace {

using namespace slipstream;
using Clock = std::chrono::steady_clock;

std::int64_t since(Clock::time_point begin) {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(Clock::now() - begin).count();
}

// The numbers of a document that is known to be rows of numbers; how many.
std::int64_t read_by_from_chars(const char* next, const char* end, double* out) {
  double* const begin = out;
  while (next != end) {
    const char c = *next;
    if (c == '[' || c == ']' || c == ',' || c == ' ' || c == '\n') {
      ++next;
      continue;
    }
    const auto [behind, error] = std::from_chars(next, end, *out);
    if (error != std::errc{}) return -1;
    ++out;
    next = behind;
  }
  return out - begin;
}

// The same numbers by std::to_chars, in rows.
void write_by_to_chars(const double* next, std::int64_t rows, std::int64_t width,
                       std::string& out) {
  std::array<char, 32> text;
  out += '[';
  for (std::int64_t row = 0; row < rows; ++row) {
    out += row > 0 ? ",[" : "[";
    for (std::int64_t column = 0; column < width; ++column) {
      if (column > 0) out += ',';
      char* const end = std::to_chars(text.data(), text.data() + text.size(), *next++).ptr;
      out.append(text.data(), static_cast<std::size_t>(end - text.data()));
    }
    out += ']';
  }
  out += ']';
}

}  // namespace

SLIPSTREAM_BENCH_EXPORT std::int64_t time_from_chars(const char* json, std::int64_t bytes,
                                                     double* out, std::int64_t elements,
                                                     std::int64_t calls) {
  const Clock::time_point begin = Clock::now();
  for (std::int64_t call = 0; call < calls; ++call) {
    if (read_by_from_chars(json, json + bytes, out) != elements) return -1;
  }
  return since(begin);
}

SLIPSTREAM_BENCH_EXPORT std::int64_t time_decode(const char* json, std::int64_t bytes, double* out,
                                                 std::int64_t elements, std::int64_t width,
                                                 std::int64_t calls) {
  const InputSchema schema{Layout::kMatrix, {{"x", DType::kFloat64, {-1, width}}}, {}, true};
  const DecodeLimits limits;
  const std::string_view document(json, static_cast<std::size_t>(bytes));
  auto* const memory = std::pmr::new_delete_resource();
  const Clock::time_point begin = Clock::now();
  for (std::int64_t call = 0; call < calls; ++call) {
    const auto result = decode_inputs(document, schema, limits, memory);
    if (!result.is_ok() || result.value()[0].elements() != elements) return -1;
    if (call == 0) std::memcpy(out, result.value()[0].data(), result.value()[0].bytes());
  }
  return since(begin);
}

SLIPSTREAM_BENCH_EXPORT std::int64_t time_to_chars(double* values, std::int64_t rows,
                                                   std::int64_t width, std::int64_t calls) {
  const Clock::time_point begin = Clock::now();
  std::size_t written = 0;
  for (std::int64_t call = 0; call < calls; ++call) {
    std::string json;
    write_by_to_chars(values, rows, width, json);
    written += json.size();
  }
  return written == 0 ? -1 : since(begin);
}

SLIPSTREAM_BENCH_EXPORT std::int64_t time_encode(double* values, std::int64_t rows,
                                                 std::int64_t width, std::int64_t calls) {
  const Tensor tensor = Tensor::wrap(DType::kFloat64, Shape{rows, width}, values, nullptr);
  const Clock::time_point begin = Clock::now();
  std::size_t written = 0;
  for (std::int64_t call = 0; call < calls; ++call) {
    const std::unique_ptr<char[]> json(new char[numbers_bound(tensor)]);
    written += static_cast<std::size_t>(encode_numbers(tensor, json.get()) - json.get());
  }
  return written == 0 ? -1 : since(begin);
}
