#include "backends/onnx/graph_loops.h"

#include <cstdint>
#include <optional>
#include <string_view>

namespace slipstream::onnx {
namespace {

using Bytes = std::span<const std::byte>;

constexpr int kDeepest = 64;  // graphs in graphs; deeper ones count as loops

// Field numbers of onnx.proto (onnx 1.16).
constexpr std::uint64_t kModelGraph = 7;
constexpr std::uint64_t kModelFunctions = 25;
constexpr std::uint64_t kGraphNode = 1;
constexpr std::uint64_t kFunctionNode = 7;
constexpr std::uint64_t kNodeOperator = 4;
constexpr std::uint64_t kNodeAttribute = 5;
constexpr std::uint64_t kAttributeGraph = 6;
constexpr std::uint64_t kAttributeGraphs = 11;

// Protocol buffers' wire types.
constexpr std::uint64_t kVarint = 0;
constexpr std::uint64_t kFixed64 = 1;
constexpr std::uint64_t kLengthDelimited = 2;
constexpr std::uint64_t kFixed32 = 5;

// The fields of one message, one after the other.
class Fields {
 public:
  explicit Fields(Bytes message) noexcept : left_(message) {}

  struct Field {
    std::uint64_t number;
    Bytes content;  // of a length-delimited one
  };

  // Nothing at the end, and where the bytes are no message: see is_whole.
  std::optional<Field> next() noexcept {
    if (left_.empty()) return std::nullopt;
    const std::uint64_t key = varint();
    Field field{.number = key >> 3U, .content = {}};
    switch (key & 7U) {
      case kVarint:
        (void)varint();
        break;
      case kFixed64:
        (void)take(8);
        break;
      case kFixed32:
        (void)take(4);
        break;
      case kLengthDelimited:
        field.content = take(varint());
        break;
      default:
        is_whole_ = false;
        break;
    }
    if (!is_whole_) return std::nullopt;
    return field;
  }

  [[nodiscard]] bool is_whole() const noexcept { return is_whole_; }

 private:
  Bytes take(std::uint64_t count) noexcept {
    if (count > left_.size()) {
      is_whole_ = false;
      left_ = {};
      return {};
    }
    const Bytes taken = left_.first(static_cast<std::size_t>(count));
    left_ = left_.subspan(static_cast<std::size_t>(count));
    return taken;
  }

  std::uint64_t varint() noexcept {
    std::uint64_t value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
      const Bytes one = take(1);
      if (one.empty()) return 0;
      const auto byte = std::to_integer<std::uint64_t>(one.front());
      value |= (byte & 0x7fU) << shift;
      if ((byte & 0x80U) == 0) return value;
    }
    is_whole_ = false;
    return 0;
  }

  Bytes left_;
  bool is_whole_ = true;
};

bool graph_may_loop(Bytes graph, std::uint64_t node_field, int depth) noexcept;

bool attribute_may_loop(Bytes attribute, int depth) noexcept {
  Fields fields(attribute);
  while (const auto field = fields.next()) {
    const bool is_graph = field->number == kAttributeGraph || field->number == kAttributeGraphs;
    if (is_graph && graph_may_loop(field->content, kGraphNode, depth + 1)) return true;
  }
  return !fields.is_whole();
}

bool node_may_loop(Bytes node, int depth) noexcept {
  Fields fields(node);
  while (const auto field = fields.next()) {
    if (field->number == kNodeOperator) {
      const auto* const text = reinterpret_cast<const char*>(field->content.data());
      if (std::string_view(text, field->content.size()) == "Loop") return true;
    }
    if (field->number == kNodeAttribute && attribute_may_loop(field->content, depth)) return true;
  }
  return !fields.is_whole();
}

bool graph_may_loop(Bytes graph, std::uint64_t node_field, int depth) noexcept {
  if (depth > kDeepest) return true;
  Fields fields(graph);
  while (const auto field = fields.next()) {
    if (field->number == node_field && node_may_loop(field->content, depth)) return true;
  }
  return !fields.is_whole();
}

}  // namespace

bool may_loop(Bytes model) noexcept {
  Fields fields(model);
  while (const auto field = fields.next()) {
    if (field->number == kModelGraph && graph_may_loop(field->content, kGraphNode, 0)) return true;
    if (field->number == kModelFunctions && graph_may_loop(field->content, kFunctionNode, 0)) {
      return true;
    }
  }
  return !fields.is_whole();
}

}  // namespace slipstream::onnx
