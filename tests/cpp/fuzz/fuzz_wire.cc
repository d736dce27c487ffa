// The fuzzer of csrc/wire: good documents, mutated, compared with a slow reference decoder.
//
//   fuzz_wire                  a short run that is the same every time (what ctest does)
//   fuzz_wire SECONDS [SEED]   as long as that; a seed of your own
//
// Build it with -DSLIPSTREAM_SANITIZE=address,undefined for a run that means something. On a broken
// promise it prints the document, the schema and the seed of the round, and exits 1.
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <memory_resource>
#include <string>
#include <vector>

#include "fuzz/documents.h"
#include "fuzz/mutations.h"
#include "fuzz/reference_decode.h"
#include "fuzz/reference_json.h"
#include "wire/decode.h"
#include "wire/encode.h"

namespace {

using namespace slipstream;
using Tensors = std::vector<Tensor>;

// Counts what is taken, to hold the decoder to its promise about memory.
class CountingResource : public std::pmr::memory_resource {
 public:
  std::size_t peak = 0;
  std::size_t held = 0;

 private:
  void* do_allocate(std::size_t bytes, std::size_t alignment) override {
    held += bytes;
    peak = std::max(peak, held);
    return std::pmr::new_delete_resource()->allocate(bytes, alignment);
  }
  void do_deallocate(void* data, std::size_t bytes, std::size_t alignment) override {
    held -= bytes;
    std::pmr::new_delete_resource()->deallocate(data, bytes, alignment);
  }
  bool do_is_equal(const memory_resource& other) const noexcept override { return this == &other; }
};

std::string describe(const InputSchema& schema) {
  std::string text = "layout " + std::to_string(static_cast<int>(schema.layout)) +
                     (schema.accepts_missing ? ", missing" : "") + ", inputs";
  for (const TensorSpec& input : schema.inputs) {
    text += " " + std::string(dtype_name(input.dtype)) + to_string(input.dims);
  }
  return text + ", " + std::to_string(schema.column_names.size()) + " names";
}

class Round {
 public:
  Round(const InputSchema& schema, std::string document, const DecodeLimits& limits,
        std::uint64_t seed)
      : schema_(schema), document_(std::move(document)), limits_(limits), seed_(seed) {}

  // Every promise about this document. Whether it was accepted.
  bool check() {
    // In memory of exactly its size, so that ASan sees a read behind the end.
    const std::vector<char> exact(document_.begin(), document_.end());
    CountingResource memory;
    bool accepted = false;
    {
      const Result<Tensors> result =
          decode_inputs({exact.data(), exact.size()}, schema_, limits_, &memory);
      const reference::Answer expected = reference::decode(document_, schema_, limits_);
      accepted = result.is_ok();
      const StatusCode code = accepted ? StatusCode::kOk : result.status().code();
      require(code == expected.code, accepted ? "accepted" : result.status().message());
      if (accepted) {
        check_values(result.value(), expected.inputs);
        check_round_trip(result.value());
      } else {
        check_message(result.status().message());
      }
      // A string costs 32 bytes and is 3 in the document; twice, for growing.
      require(memory.peak <= 64 * document_.size() + 512 * schema_.inputs.size() + 2048, "memory");
    }
    require(memory.held == 0, "a leak");
    check_layouts_agree();
    return accepted;
  }

 private:
  void require(bool condition, const std::string& what) const {
    if (condition) return;
    std::cerr << "broken promise: " << what << "\nseed " << seed_ << ", " << describe(schema_)
              << "\n"
              << document_ << "\n";
    std::exit(EXIT_FAILURE);
  }

  void check_values(const Tensors& inputs, const std::vector<reference::Expected>& expected) const {
    require(inputs.size() == expected.size(), "number of inputs");
    for (std::size_t i = 0; i < inputs.size(); ++i) {
      require(inputs[i].dtype() == schema_.inputs[i].dtype, "dtype");
      require(reference::written_out(inputs[i]) == expected[i], "shape or values");
    }
  }

  // What was decoded, encoded and decoded again is the same.
  void check_round_trip(const Tensors& inputs) const {
    std::string json;
    if (schema_.layout == Layout::kColumns) {
      json = rows_of_columns(inputs);
    } else if (schema_.layout == Layout::kMatrix) {
      encode_tensor(inputs[0], json);
    } else {
      json = "{";
      for (std::size_t i = 0; i < inputs.size(); ++i) {
        if (i > 0) json += ',';
        encode_string(schema_.inputs[i].name, json);
        json += ':';
        encode_tensor(inputs[i], json);
      }
      json += '}';
    }
    // Not limits_: an object by name is deeper than the bare value it may stand for.
    const Result<Tensors> again =
        decode_inputs(json, schema_, DecodeLimits{}, std::pmr::new_delete_resource());
    require(again.is_ok(), "the encoding is refused: " + json);
    for (std::size_t i = 0; i < inputs.size(); ++i) {
      require(reference::written_out(again.value()[i]) == reference::written_out(inputs[i]),
              "the encoding differs: " + json);
    }
  }

  static std::string rows_of_columns(const Tensors& inputs) {
    std::string json = "[";
    for (std::int64_t row = 0; row < inputs[0].rows(); ++row) {
      json += row > 0 ? ",[" : "[";
      for (std::size_t i = 0; i < inputs.size(); ++i) {
        if (i > 0) json += ',';
        const auto offset = static_cast<std::size_t>(row) * inputs[i].row_bytes();
        auto* const cell = const_cast<std::byte*>(inputs[i].data()) + offset;
        encode_tensor(Tensor::wrap(inputs[i].dtype(), Shape{}, cell, inputs[i].owner()), json);
      }
      json += ']';
    }
    return json + "]";
  }

  void check_message(const std::string& message) const {
    std::string json;
    encode_string(message, json);
    require(!message.empty() && message.size() < 250, "message: " + message);
    require(message.find('\n') == std::string::npos, "message of several lines: " + message);
    require(json.find("\xEF\xBF\xBD") == std::string::npos, "message is no UTF-8: " + message);
  }

  // The same bytes as a matrix and as a tensor.
  void check_layouts_agree() const {
    if (schema_.layout != Layout::kMatrix || !schema_.column_names.empty()) return;
    InputSchema other = schema_;
    other.layout = Layout::kTensors;
    const auto matrix = decode_inputs(document_, schema_, limits_, std::pmr::new_delete_resource());
    const auto tensor = decode_inputs(document_, other, limits_, std::pmr::new_delete_resource());
    if (matrix.is_ok()) {
      require(tensor.is_ok(), "a matrix, but no tensor");
      require(
          reference::written_out(matrix.value()[0]) == reference::written_out(tensor.value()[0]),
          "the layouts differ");
    } else if (tensor.is_ok()) {
      const auto data = reference::parse(document_, limits_.max_depth);
      require(data->kind == reference::Node::Kind::kObject || tensor.value()[0].elements() == 0,
              "a tensor, but no matrix");
    }
  }

  const InputSchema& schema_;
  const std::string document_;
  const DecodeLimits& limits_;
  const std::uint64_t seed_;
};

// Bytes of any kind become a JSON string that reads back: as they were if they were UTF-8.
void check_text(fuzz::Random& random) {
  std::string text;
  for (std::size_t i = fuzz::below(random, 24); i > 0; --i) text += static_cast<char>(random());
  if (fuzz::chance(random, 2)) {
    for (char& c : text) c = static_cast<char>(c & 0x7F);
  }
  std::string json;
  encode_string(text, json);
  const auto node = reference::parse(json, 1);
  const bool missing = text == kMissingString;
  const bool is_utf8 = node && node->text.find("\xEF\xBF\xBD") == std::string::npos;
  if (!node || (!missing && is_utf8 && node->text != text)) {
    std::cerr << "broken promise: encode_string made " << json << "\n";
    std::exit(EXIT_FAILURE);
  }
}

struct Counts {
  std::uint64_t documents = 0;
  std::uint64_t accepted = 0;
};

// One schema and what can be done to its documents.
void run_round(std::uint64_t seed, Counts& counts) {
  fuzz::Random random(seed);
  const InputSchema schema = fuzz::random_schema(random);
  DecodeLimits limits;
  if (fuzz::chance(random, 25)) limits.max_depth = fuzz::below(random, 6);
  if (fuzz::chance(random, 25)) limits.max_rows = static_cast<std::int64_t>(random() % 5);
  if (fuzz::chance(random, 25)) limits.max_elements = static_cast<std::int64_t>(random() % 20);
  const std::string base = fuzz::random_document(schema, random);
  const std::string other = fuzz::random_document(schema, random);
  for (int i = 0; i < 12; ++i) {
    std::string document = base;
    for (int mutations = (i + 2) / 4; mutations > 0; --mutations) {
      fuzz::mutate(document, other, random);
    }
    ++counts.documents;
    if (Round(schema, std::move(document), limits, seed).check()) ++counts.accepted;
  }
  check_text(random);
}

}  // namespace

int main(int argc, char** argv) {
  using Clock = std::chrono::steady_clock;
  constexpr std::uint64_t kShortRun = 4000;
  const double seconds = argc > 1 ? std::atof(argv[1]) : 0;
  const std::uint64_t first = argc > 2 ? std::strtoull(argv[2], nullptr, 10) : 1;
  const auto end = Clock::now() + std::chrono::duration<double>(seconds);
  Counts counts;
  for (std::uint64_t seed = first; argc > 1 ? Clock::now() < end : seed < first + kShortRun;
       ++seed) {
    run_round(seed, counts);
  }
  std::cout << counts.documents << " documents, " << counts.accepted << " accepted\n";
  // A fuzzer whose documents are all refused, or all accepted, tests one half.
  const bool balanced = counts.accepted > counts.documents / 20 &&
                        counts.accepted < counts.documents - counts.documents / 20;
  return balanced ? EXIT_SUCCESS : EXIT_FAILURE;
}
