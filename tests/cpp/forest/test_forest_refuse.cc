// refuse: rows that the source library would raise for.
#include "backends/forest/refusal.h"
#include "forest/step_fixture.h"

namespace slipstream::forest {
namespace {

WrittenArray text_array(const std::string& text) {
  return array_of(std::vector<std::uint8_t>(text.begin(), text.end()));
}

// What a run refuses with; "" when it answers.
std::string refused(const std::vector<double>& rows, double value) {
  const std::vector<Tensor> inputs = {doubles(1, rows)};
  const Loaded loaded(step_file(Op::kRefuse, inputs, {text_array("no such island")}, {value}));
  REQUIRE(loaded.status().is_ok());
  try {
    const std::vector<Tensor> outputs = loaded.run(inputs);
    CHECK_EQ(text_of(outputs[0]), expected(rows));
  } catch (const Refusal& refusal) {
    return refusal.text();
  }
  return "";
}

TEST(rows_with_the_value_are_refused_with_the_text) {
  CHECK_EQ(refused({0, 1, 2}, -2), "");
  CHECK_EQ(refused({0, 1, -2}, -2), "no such island");
  CHECK_EQ(refused({0, kNaN, kInf}, -2), "");
  CHECK_EQ(refused({0, kInf}, kNaN), "");
  CHECK_EQ(refused({0, kNaN}, kNaN), "no such island");
  std::vector<double> many(2000, 1.0);
  CHECK_EQ(refused(many, -2), "");
  many[1999] = -2;
  CHECK_EQ(refused(many, -2), "no such island");
}

TEST(rows_are_refused_though_nothing_reads_the_column) {
  ForestWriter writer;
  const std::uint32_t x = writer.input("x", DType::kFloat64, 1);
  writer.step(Op::kRefuse, {x}, {text_array("no such island")}, {-2});
  writer.output("y", x);
  const Loaded loaded(writer.bytes());
  REQUIRE(loaded.status().is_ok());
  const auto run = [&loaded](double value) {
    const std::vector<Tensor> inputs = {doubles(1, {value})};
    return loaded.run(inputs);
  };
  CHECK_EQ(text_of(run(1)[0]), expected({1}));
  bool is_refused = false;
  try {
    static_cast<void>(run(-2));
  } catch (const Refusal&) {
    is_refused = true;
  }
  CHECK(is_refused);
}

TEST(what_refuse_takes) {
  const WrittenArray text = text_array("x");
  CHECK_EQ(refusal(Op::kRefuse, {doubles(1, {1})}, {text}, {0}), "");
  CHECK(!refusal(Op::kRefuse, {doubles(1, {1})}, {text_array("\xff")}, {0}).empty());
  CHECK(!refusal(Op::kRefuse, {doubles(2, {1, 2})}, {text}, {0}).empty());
  CHECK(!refusal(Op::kRefuse, {integers(1, {1})}, {text}, {0}).empty());
  CHECK(!refusal(Op::kRefuse, {doubles(1, {1})}, {array_of({1.0})}, {0}).empty());
  CHECK(!refusal(Op::kRefuse, {doubles(1, {1})}, {text}).empty());
  CHECK(!refusal(Op::kRefuse, {doubles(1, {1})}, {}, {0}).empty());
}

}  // namespace
}  // namespace slipstream::forest
