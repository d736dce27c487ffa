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

// What a run of three columns refuses with; "" when it answers.
std::string refused_cells(const std::vector<double>& rows) {
  const std::vector<Tensor> inputs = {doubles(3, rows)};
  const std::vector<double> limits{1e308 * 1.79, 3e38, kInf};
  const std::vector<std::uint8_t> flags{0, 1, 1};
  const std::vector<std::int64_t> ends{1, 4, 4};
  const Loaded loaded(
      step_file(Op::kRefuseCells, inputs,
                {array_of(limits), array_of(flags), array_of(ends), text_array("aage")}, {}));
  REQUIRE(loaded.status().is_ok());
  try {
    const std::vector<Tensor> outputs = loaded.run(inputs);
    CHECK_EQ(text_of(outputs[0]), expected(std::vector<double>(rows.size() / 3, 0.0)));
  } catch (const Refusal& refusal) {
    return refusal.text();
  }
  return "";
}

TEST(cells_are_refused_by_column) {
  CHECK_EQ(refused_cells({1, 2, 3, -4, -5, -6}), "");
  CHECK_EQ(refused_cells({kNaN, 2, kInf}), "");
  CHECK_EQ(refused_cells({1, 2, -kInf}), "");
  CHECK_EQ(refused_cells({1e300, 3e38, 0}), "");
  CHECK_EQ(refused_cells({-kInf, 2, 3}),
           "a is infinite or too large, which this model does not take");
  CHECK_EQ(refused_cells({1, 2, 3, 4, -3.1e38, 6}),
           "age is infinite or too large, which this model does not take");
  CHECK_EQ(refused_cells({1, 2, 3, 4, kNaN, 6}), "age is missing, which this model does not take");
  CHECK_EQ(refused_cells({1, 2, kNaN}), " is missing, which this model does not take");
}

TEST(what_refuse_cells_takes) {
  const auto complaint = [](std::vector<double> limits, std::vector<std::uint8_t> flags,
                            std::vector<std::int64_t> ends) {
    return refusal(Op::kRefuseCells, {doubles(1, {1})},
                   {array_of(limits), array_of(flags), array_of(ends), text_array("a")}, {});
  };
  CHECK_EQ(complaint({1}, {1}, {1}), "");
  CHECK(!complaint({1, 2}, {1}, {1}).empty());
  CHECK(!complaint({1}, {1, 0}, {1}).empty());
  CHECK(!complaint({1}, {1}, {0, 1}).empty());
  CHECK(!complaint({1}, {1}, {7}).empty());
  CHECK(!complaint({kNaN}, {1}, {1}).empty());
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
