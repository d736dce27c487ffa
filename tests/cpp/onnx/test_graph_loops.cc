// Loops are found wherever a graph may have them, and in whatever cannot be read.
#include <cstddef>
#include <random>
#include <span>
#include <string>

#include "backends/onnx/graph_loops.h"
#include "harness.h"

using namespace slipstream::onnx;

namespace {

std::string varint(std::uint64_t value) {
  std::string bytes;
  for (; value >= 0x80; value >>= 7U) bytes.push_back(static_cast<char>((value & 0x7fU) | 0x80U));
  bytes.push_back(static_cast<char>(value));
  return bytes;
}

// A length-delimited field of a message.
std::string field(std::uint64_t number, const std::string& content) {
  return varint(number << 3U | 2U) + varint(content.size()) + content;
}

std::string node(const std::string& op, const std::string& attributes = "") {
  return field(1, "x") + field(2, "y") + field(3, "name") + field(4, op) + attributes;
}

std::string graph(const std::string& one_node) {
  return field(1, one_node);
}

// With a version, a producer, weights that spell "Loop", and fields of every wire type.
std::string model(const std::string& nodes) {
  const std::string weights = field(5, field(9, std::string(1000, 'w') + "\x22\x04Loop"));
  return varint(1U << 3U) + varint(8) + field(2, "Loop") + field(7, nodes + weights) +
         field(8, "set") + varint(20U << 3U | 5U) + "four" + varint(21U << 3U | 1U) + "eightbyt";
}

bool loops(const std::string& bytes) {
  return may_loop(std::as_bytes(std::span(bytes)));
}

}  // namespace

TEST(a_graph_without_one) {
  CHECK(!loops(model(graph(node("MatMul")) + graph(node("Add")))));
  CHECK(!loops(model(graph(node("LoopLike")) + graph(node("If")))));
  CHECK(!loops(model("")));
}

TEST(one_of_the_graphs_nodes) {
  CHECK(loops(model(graph(node("MatMul")) + graph(node("Loop")))));
}

TEST(in_a_branch_and_deeper) {
  const std::string branch = field(5, field(6, graph(node("Loop"))));
  CHECK(loops(model(graph(node("If", branch)))));
  const std::string deeper = field(5, field(11, graph(node("If", branch))));
  CHECK(loops(model(graph(node("Scan", deeper)))));
  const std::string harmless = field(5, field(6, graph(node("Add"))));
  CHECK(!loops(model(graph(node("If", harmless)))));
}

TEST(in_a_function) {
  CHECK(
      loops(model(graph(node("Custom"))) + field(25, field(1, "Custom") + field(7, node("Loop")))));
  CHECK(!loops(model(graph(node("Custom"))) + field(25, field(7, node("Relu")))));
}

TEST(graphs_in_graphs_without_end) {
  std::string nested = graph(node("Add"));
  for (int depth = 0; depth < 1000; ++depth) nested = graph(node("If", field(5, field(6, nested))));
  CHECK(loops(model(nested)));
}

TEST(what_cannot_be_read) {
  const std::string good = model(graph(node("MatMul")));
  CHECK(loops(good + "\x0f"));  // a wire type that there is not
  CHECK(loops(good.substr(0, good.size() - 1)));
  CHECK(loops(std::string(12, '\xff')));
  std::mt19937 random(7);
  for (int round = 0; round < 20'000; ++round) {  // whatever comes of it: it ends, within bounds
    std::string bytes = good;
    for (int i = 0; i < 3; ++i) bytes[random() % bytes.size()] = static_cast<char>(random());
    (void)loops(bytes.substr(0, random() % (bytes.size() + 1)));
  }
}
