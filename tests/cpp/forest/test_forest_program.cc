// Running whole programs: what is wanted and what is not, values that lie in inputs, outputs or
// shared memory, blocks of rows, several threads.
#include <algorithm>
#include <thread>

#include "forest/random_trees.h"
#include "forest/step_fixture.h"

namespace slipstream::forest {
namespace {

std::vector<Tensor> sample_inputs(std::size_t rows) {
  std::vector<double> numbers;
  std::vector<std::string> towns;
  const std::string names[] = {"Ulm", "Aachen", "", "Nowhere", std::string(kMissingString)};
  for (std::size_t row = 0; row < rows; ++row) {
    for (std::size_t column = 0; column < 3; ++column) {
      numbers.push_back((row + column) % 7 == 0 ? kNaN : static_cast<double>(row % 11) / 8);
    }
    towns.push_back(names[row % std::size(names)]);
  }
  return {doubles(3, numbers), strings(1, towns)};
}

TEST(the_sample_computes_what_it_says) {
  const Loaded loaded(sample_file());
  REQUIRE(loaded.status().is_ok());
  const Tensor inputs[] = {doubles(3, {0.25, 1, 2, 0.75, kNaN, 2, kNaN, 1, 1}),
                           strings(1, {"Ulm", "Nowhere", "Aachen"})};
  const std::vector<Tensor> outputs = loaded.run(inputs);
  const auto sigmoid = [](double x) { return 1 / (1 + std::exp(-x)); };
  CHECK_EQ(text_of(outputs[2]), expected({-1.25, 0.75, -1.25}));
  CHECK_EQ(text_of(outputs[1]), expected({1 - sigmoid(-1.25), sigmoid(-1.25), 1 - sigmoid(0.75),
                                          sigmoid(0.75), 1 - sigmoid(-1.25), sigmoid(-1.25)}));
  CHECK_EQ(outputs[0].strings()[0], "no");
  CHECK_EQ(outputs[0].strings()[1], "yes, and at length");
  CHECK_EQ(text_of(outputs[3]), expected({0.25, 1, 2, 0.75, kNaN, 2, kNaN, 1, 1}));
  CHECK_EQ(outputs[0].shape().rank(), 1U);
  CHECK_EQ(outputs[1].shape().rank(), 2U);
}

std::string difference(const Tensor& a, const Tensor& b) {
  if (a.dtype() != b.dtype() || !(a.shape() == b.shape())) return "another type or shape";
  if (a.dtype() == DType::kString) {
    return std::ranges::equal(a.strings(), b.strings()) ? "" : "other strings";
  }
  return std::memcmp(a.data(), b.data(), a.bytes()) == 0 ? "" : "other bytes";
}

TEST(any_set_of_wanted_outputs_gives_the_same_values) {
  const Loaded loaded(sample_file());
  REQUIRE(loaded.status().is_ok());
  const std::vector<Tensor> inputs = sample_inputs(9);
  const std::vector<Tensor> all = loaded.run(inputs);
  for (std::uint64_t wanted = 0; wanted < 16; ++wanted) {
    const std::vector<Tensor> some = loaded.run(inputs, wanted);
    for (std::size_t i = 0; i < 4; ++i) {
      if (((wanted >> i) & 1U) == 0) continue;
      CHECK_EQ(difference(some[i], all[i]), "");
    }
  }
}

TEST(steps_that_nobody_needs_are_not_planned) {
  Loaded loaded(sample_file());
  REQUIRE(loaded.status().is_ok());
  const auto steps_of = [&loaded](std::uint64_t wanted) {
    return Plan::make(loaded.program(), loaded.layout(), wanted).steps.size();
  };
  const std::size_t all = loaded.program().steps.size();
  CHECK_EQ(steps_of(0b0000), 0U);
  CHECK_EQ(steps_of(0b1000), 0U);       // an input again
  CHECK_EQ(steps_of(0b0100), all - 4);  // raw: no probability, no label
  CHECK_EQ(steps_of(0b0010), all - 2);
  CHECK_EQ(steps_of(0b0001), all);
  // The value of an output is computed in its place; an input that is one is copied.
  const Plan plan = Plan::make(loaded.program(), loaded.layout(), 0b1111);
  CHECK_EQ(plan.copies.size(), 1U);
  CHECK_EQ(
      std::ranges::count_if(plan.steps, [](const PlannedStep& s) { return s.output != kNoOutput; }),
      3);
}

TEST(blocks_of_any_size_give_the_same_values) {
  Loaded loaded(sample_file());
  REQUIRE(loaded.status().is_ok());
  for (const std::size_t rows : {1U, 63U, 64U, 65U, 700U}) {
    const std::vector<Tensor> inputs = sample_inputs(rows);
    loaded.layout().block_rows = kMaxBlockRows;
    const std::vector<Tensor> whole = loaded.run(inputs);
    for (const std::size_t block : {1U, 5U, 8U, 64U}) {
      loaded.layout().block_rows = block;
      const std::vector<Tensor> blocks = loaded.run(inputs);
      for (std::size_t i = 0; i < whole.size(); ++i) {
        CHECK_EQ(difference(blocks[i], whole[i]), "");
      }
    }
  }
}

TEST(views_look_through_to_where_the_columns_lie) {
  ForestWriter writer;
  const auto x = writer.input("x", DType::kFloat64, 5);
  const auto middle = writer.step(Op::kTakeColumns, {x}, {array_of<std::int32_t>({1, 2, 3})});
  const auto inner = writer.step(Op::kTakeColumns, {middle}, {array_of<std::int32_t>({1, 2})});
  const auto sum = writer.step(Op::kAdd, {inner, inner});
  const auto last = writer.step(Op::kTakeColumns, {sum}, {array_of<std::int32_t>({1})});
  const auto total = writer.step(Op::kSumColumns, {middle});
  // Much that could take the memory of `sum` while `last` still looks at it.
  auto other = writer.step(Op::kMultiply, {inner}, {array_of({-1.0})});
  for (int i = 0; i < 6; ++i) other = writer.step(Op::kMultiply, {other}, {array_of({2.0})});
  writer.output("inner", inner);
  writer.output("inner_again", inner);
  writer.output("last", last, true);
  writer.output("total", total);
  writer.output("other", other);
  const Loaded loaded(writer.bytes());
  REQUIRE(loaded.status().is_ok());
  const Tensor inputs[] = {doubles(5, {0, 1, 2, 3, 4, 10, 11, 12, 13, 14})};
  const std::vector<Tensor> outputs = loaded.run(inputs);
  CHECK_EQ(text_of(outputs[0]), expected({2, 3, 12, 13}));
  CHECK_EQ(text_of(outputs[1]), expected({2, 3, 12, 13}));
  CHECK_EQ(text_of(outputs[2]), expected({6, 26}));
  CHECK_EQ(text_of(outputs[3]), expected({6, 36}));
  CHECK_EQ(text_of(outputs[4]), expected({-128, -192, -768, -832}));
}

// Random programs of elementwise steps against the same steps on whole columns of numbers.
TEST(memory_is_shared_without_mixing_values) {
  for (std::uint64_t seed = 1; seed <= 40; ++seed) {
    Random random(seed);
    ForestWriter writer;
    const std::size_t rows = 1 + below(random, 200);
    std::vector<double> numbers(rows * 3);
    for (double& number : numbers) number = static_cast<double>(below(random, 100));
    std::vector<std::vector<double>> values{numbers};
    std::vector<std::uint32_t> ids{writer.input("x", DType::kFloat64, 3)};
    for (int i = 0; i < 30; ++i) {
      const std::size_t a = below(random, values.size());
      const std::size_t b = below(random, values.size());
      std::vector<double> result(rows * 3);
      for (std::size_t k = 0; k < result.size(); ++k) result[k] = values[a][k] - values[b][k] / 2;
      const auto half = writer.step(Op::kMultiply, {ids[b]}, {array_of({0.5})});
      ids.push_back(writer.step(Op::kSubtract, {ids[a], half}));
      values.push_back(result);
    }
    std::vector<std::size_t> chosen;
    for (int i = 0; i < 4; ++i) chosen.push_back(below(random, values.size()));
    for (std::size_t i = 0; i < chosen.size(); ++i) {
      writer.output("y" + std::to_string(i), ids[chosen[i]]);
    }
    const Loaded loaded(writer.bytes());
    REQUIRE(loaded.status().is_ok());
    const Tensor inputs[] = {doubles(3, numbers)};
    const std::vector<Tensor> outputs = loaded.run(inputs);
    for (std::size_t i = 0; i < chosen.size(); ++i) {
      CHECK_EQ(text_of(outputs[i]), text_of(values[chosen[i]]));
    }
  }
}

TEST(scratch_memory_stays_small) {
  ForestWriter writer;
  auto value = writer.input("x", DType::kFloat64, 30);
  for (int i = 0; i < 1000; ++i) value = writer.step(Op::kAdd, {value}, {array_of({1.0})});
  writer.output("y", value);
  Loaded loaded(writer.bytes());
  REQUIRE(loaded.status().is_ok());
  CHECK_EQ(loaded.layout().row_bytes, 2U * 30U * 8U);
  CHECK_EQ(loaded.layout().block_rows, kMaxBlockRows);
  ForestWriter wide;
  const auto x = wide.input("x", DType::kFloat64, 10000);
  wide.output("y", wide.step(Op::kAdd, {x}, {array_of({1.0})}));
  Loaded wide_one(wide.bytes());
  REQUIRE(wide_one.status().is_ok());
  CHECK_EQ(wide_one.layout().block_rows, 64U);
}

TEST(workspaces_share_a_program_between_threads) {
  const Loaded loaded(sample_file());
  REQUIRE(loaded.status().is_ok());
  const std::vector<Tensor> inputs = sample_inputs(600);
  const std::vector<Tensor> alone = loaded.run(inputs);
  std::vector<std::jthread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      const std::vector<Tensor> outputs = loaded.run(inputs);
      for (std::size_t k = 0; k < alone.size(); ++k) {
        CHECK_EQ(difference(outputs[k], alone[k]), "");
      }
    });
  }
}

}  // namespace
}  // namespace slipstream::forest
