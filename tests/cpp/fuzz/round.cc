#include "fuzz/round.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <iostream>
#include <memory>
#include <memory_resource>
#include <regex>

#include "fuzz/reference_json.h"
#include "fuzz/reference_msgpack.h"
#include "wire/encode.h"

namespace fuzz {
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
  return text + ", " + std::to_string(schema.column_names.size()) + " names, " +
         std::to_string(schema.ignored.size()) + " ignored";
}

std::string in_hex(const std::string& bytes) {
  constexpr std::string_view kHex = "0123456789abcdef";
  std::string text;
  for (const char c : bytes) {
    text += kHex[static_cast<unsigned char>(c) >> 4];
    text += kHex[static_cast<unsigned char>(c) & 0xF];
  }
  return text;
}

// What is common to the forms of a body.
class Round {
 public:
  Round(const Subject& subject, std::string shown)
      : schema_(subject.schema),
        limits_(subject.limits),
        seed_(subject.seed),
        shown_(std::move(shown)) {}

  // `decode(memory)` is the decoder's answer to `size` bytes, `expected` the reference's. Whether
  // it was accepted.
  template <class Decode>
  bool check(const Decode& decode, const reference::Answer& expected, std::size_t size,
             std::size_t bytes_per_byte) const {
    CountingResource memory;
    bool accepted = false;
    {
      const Result<Tensors> result = decode(memory);
      accepted = result.is_ok();
      const StatusCode code = accepted ? StatusCode::kOk : result.status().code();
      require(code == expected.code || (expected.is_open && code == StatusCode::kInvalidArgument),
              accepted ? "accepted" : result.status().message());
      if (!accepted) {
        check_message(result.status().message());
      } else if (!expected.is_open) {
        check_values(result.value(), expected.inputs);
        check_round_trips(result.value());
      }
      require(memory.peak <= bytes_per_byte * size + 512 * schema_.inputs.size() + 2048, "memory");
    }
    require(memory.held == 0, "a leak");
    return accepted;
  }

  void require(bool condition, const std::string& what) const {
    if (condition) return;
    std::cerr << "broken promise: " << what << "\nseed " << seed_ << ", " << describe(schema_)
              << "\n"
              << shown_ << "\n";
    std::exit(EXIT_FAILURE);
  }

 private:
  void check_values(const Tensors& inputs, const std::vector<reference::Expected>& expected) const {
    require(inputs.size() == expected.size(), "number of inputs");
    for (std::size_t i = 0; i < inputs.size(); ++i) {
      require(inputs[i].dtype() == schema_.inputs[i].dtype, "dtype");
      require(reference::written_out(inputs[i]) == expected[i], "shape or values");
    }
  }

  // What was decoded, encoded and decoded again is the same, in both formats.
  void check_round_trips(const Tensors& inputs) const {
    std::vector<reference::Expected> texts;
    for (const Tensor& input : inputs) texts.push_back(reference::written_out(input));
    static const std::string kInfinity = std::to_string(std::bit_cast<std::uint64_t>(HUGE_VAL));
    static const std::string kMinus = std::to_string(std::bit_cast<std::uint64_t>(-HUGE_VAL));
    for (std::size_t i = 0; i < inputs.size(); ++i) {
      const DType dtype = inputs[i].dtype();
      if (dtype < DType::kFloat16 || dtype == DType::kString) continue;
      for (std::string& text : texts[i].elements) {
        if (text == kInfinity || text == kMinus) text = "nan";  // null has no other meaning
      }
    }
    // Not limits_: an object by name is deeper than the bare value it may stand for.
    auto* const memory = std::pmr::new_delete_resource();
    const std::string json = json_of(inputs);
    require_same(decode_inputs(json, schema_, DecodeLimits{}, memory), texts, json);
    const std::string packed = msgpack_of(inputs);
    require_same(decode_msgpack(packed, nullptr, schema_, DecodeLimits{}, memory), texts,
                 in_hex(packed));
  }

  void require_same(const Result<Tensors>& again, const std::vector<reference::Expected>& texts,
                    const std::string& shown) const {
    require(again.is_ok(), "the encoding is refused: " + shown);
    for (std::size_t i = 0; i < texts.size(); ++i) {
      require(reference::written_out(again.value()[i]) == texts[i],
              "the encoding differs: " + shown);
    }
  }

  // The element of each column in a row.
  static Tensor cell(const Tensor& column, std::int64_t row) {
    const auto offset = static_cast<std::size_t>(row) * column.row_bytes();
    auto* const data = const_cast<std::byte*>(column.data()) + offset;
    return Tensor::wrap(column.dtype(), Shape{}, data, column.owner());
  }

  std::string json_of(const Tensors& inputs) const {
    std::string json;
    if (schema_.layout == Layout::kMatrix) {
      encode_tensor(inputs[0], json);
    } else if (schema_.layout == Layout::kColumns) {
      for (std::int64_t row = 0; row < inputs[0].rows(); ++row) {
        json += row > 0 ? "],[" : "[[";
        for (std::size_t i = 0; i < inputs.size(); ++i) {
          if (i > 0) json += ',';
          encode_tensor(cell(inputs[i], row), json);
        }
      }
      json += "]]";
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
    return json;
  }

  std::string msgpack_of(const Tensors& inputs) const {
    std::string packed;
    const auto small = [](unsigned first, std::size_t size) {
      return static_cast<char>(first | size);
    };
    if (schema_.layout == Layout::kMatrix) {
      encode_tensor_msgpack(inputs[0], packed);
    } else if (schema_.layout == Layout::kColumns) {
      const auto rows = static_cast<std::uint64_t>(inputs[0].rows());
      packed = {'\xDC', static_cast<char>(rows >> 8), static_cast<char>(rows)};
      for (std::int64_t row = 0; row < inputs[0].rows(); ++row) {
        packed += '\xDC';
        packed += '\0';
        packed += static_cast<char>(inputs.size());
        for (const Tensor& input : inputs) encode_tensor_msgpack(cell(input, row), packed);
      }
    } else {
      packed = small(0x80, inputs.size());
      for (std::size_t i = 0; i < inputs.size(); ++i) {
        packed += small(0xA0, schema_.inputs[i].name.size());
        packed += schema_.inputs[i].name;
        encode_tensor_msgpack(inputs[i], packed);
      }
    }
    return packed;
  }

  void check_message(const std::string& message) const {
    std::string json;
    encode_string(message, json);
    require(!message.empty() && message.size() < 250, "message: " + message);
    require(message.find('\n') == std::string::npos, "message of several lines: " + message);
    require(json.find("\xEF\xBF\xBD") == std::string::npos, "message is no UTF-8: " + message);
  }

  const InputSchema& schema_;
  const DecodeLimits& limits_;
  const std::uint64_t seed_;
  const std::string shown_;
};

// The same bytes as a matrix and as a tensor.
void check_layouts_agree(const Subject& subject, const Round& round, const std::string& document) {
  const InputSchema& schema = subject.schema;
  if (schema.layout != Layout::kMatrix || !schema.column_names.empty()) return;
  InputSchema other = schema;
  other.layout = Layout::kTensors;
  auto* const memory = std::pmr::new_delete_resource();
  const auto matrix = decode_inputs(document, schema, subject.limits, memory);
  const auto tensor = decode_inputs(document, other, subject.limits, memory);
  if (matrix.is_ok()) {
    round.require(tensor.is_ok(), "a matrix, but no tensor");
    round.require(
        reference::written_out(matrix.value()[0]) == reference::written_out(tensor.value()[0]),
        "the layouts differ");
  } else if (tensor.is_ok()) {
    const auto data = reference::parse(document, subject.limits.max_depth);
    round.require(data->kind == reference::Node::Kind::kObject || tensor.value()[0].elements() == 0,
                  "a tensor, but no matrix");
  }
}

// A message with its numbers taken out: formats write those differently.
std::string without_numbers(const std::string& message) {
  static const std::regex kNumber("-?[0-9][-+.0-9eE]*(?:…)?");
  return std::regex_replace(message, kNumber, "#");
}

}  // namespace

bool check_json(const Subject& subject, const std::string& document) {
  const Round round(subject, document);
  // In memory of exactly its size, so that ASan sees a read behind the end.
  const std::vector<char> exact(document.begin(), document.end());
  const bool accepted = round.check(
      [&](CountingResource& memory) {
        return decode_inputs({exact.data(), exact.size()}, subject.schema, subject.limits, &memory);
      },
      reference::decode(reference::parse(document, subject.limits.max_depth), subject.schema,
                        subject.limits),
      document.size(), 64);  // a string costs 32 bytes and is 3 in the document; twice, for growing
  check_layouts_agree(subject, round, document);
  return accepted;
}

bool check_msgpack(const Subject& subject, const std::string& document) {
  const Round round(subject, in_hex(document));
  // Half of them may be viewed, from places of any alignment.
  const std::size_t offset = subject.seed % 9;
  auto exact = std::make_shared<std::vector<char>>(offset);
  exact->insert(exact->end(), document.begin(), document.end());
  exact->shrink_to_fit();
  const std::shared_ptr<void> owner = subject.seed % 2 == 0 ? exact : nullptr;
  return round.check(
      [&](CountingResource& memory) {
        return decode_msgpack({exact->data() + offset, document.size()}, owner, subject.schema,
                              subject.limits, &memory);
      },
      reference::decode(reference::parse_msgpack(document, subject.limits.max_depth),
                        subject.schema, subject.limits),
      document.size(), 128);  // a string of 32 bytes may be one byte in the document
}

bool check_raw(const Subject& subject, const RawBody& raw) {
  const Round round(subject, raw.dtype + to_string(raw.dims) + " " + in_hex(raw.bytes));
  const std::size_t offset = subject.seed % 9;
  auto exact = std::make_shared<std::vector<char>>(offset);
  exact->insert(exact->end(), raw.bytes.begin(), raw.bytes.end());
  exact->shrink_to_fit();
  const std::shared_ptr<void> owner = subject.seed % 2 == 0 ? exact : nullptr;
  const wire::RawTensor tensor{{exact->data() + offset, raw.bytes.size()}, raw.dtype, raw.dims};
  return round.check(
      [&](CountingResource& memory) {
        return decode_raw(tensor, owner, subject.schema, subject.limits, &memory);
      },
      reference::decode_raw(raw.bytes, raw.dtype, raw.dims, subject.schema, subject.limits),
      raw.bytes.size(), 16);
}

void check_formats_agree(const Subject& subject, const std::string& document, Random& random) {
  const auto node = reference::parse(document, subject.limits.max_depth);
  if (!node) return;
  const Packed packed = to_msgpack(*node, random);
  (void)check_msgpack(subject, packed.bytes);
  if (!packed.is_exact) return;
  const Round round(subject, document + "\n" + in_hex(packed.bytes));
  auto* const memory = std::pmr::new_delete_resource();
  const auto json = decode_inputs(document, subject.schema, subject.limits, memory);
  const auto msgpack =
      decode_msgpack(packed.bytes, nullptr, subject.schema, subject.limits, memory);
  round.require(
      json.status().code() == msgpack.status().code(),
      "JSON: " + json.status().message() + "; MessagePack: " + msgpack.status().message());
  if (!json.is_ok()) {
    round.require(
        without_numbers(json.status().message()) == without_numbers(msgpack.status().message()),
        json.status().message() + " / " + msgpack.status().message());
    return;
  }
  for (std::size_t i = 0; i < json.value().size(); ++i) {
    round.require(
        reference::written_out(json.value()[i]) == reference::written_out(msgpack.value()[i]),
        "the formats differ");
  }
}

}  // namespace fuzz
