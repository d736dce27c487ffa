// Steps over columns, codes, labels and text.
#include <cmath>

#include "forest/step_fixture.h"

namespace slipstream::forest {
namespace {

std::vector<std::string> texts_of(const Tensor& tensor) {
  const auto span = tensor.strings();
  return {span.begin(), span.end()};
}

bool contains(const std::string& text, std::string_view part) {
  return text.find(part) != std::string::npos;
}

TEST(concat_of_every_type) {
  CHECK_EQ(text_of(run_step(Op::kConcat, {doubles(2, {1, 2, 3, 4}), doubles(1, {5, 6})})),
           expected({1, 2, 5, 3, 4, 6}));
  CHECK_EQ(text_of<float>(run_step(Op::kConcat, {floats(1, {1, 2}), floats(1, {3, 4})})),
           expected<float>({1, 3, 2, 4}));
  CHECK_EQ(text_of<std::int64_t>(run_step(Op::kConcat, {integers(1, {1, 2}), integers(1, {3, 4})})),
           expected<std::int64_t>({1, 3, 2, 4}));
  const std::string longer(40, 'l');
  CHECK(texts_of(run_step(Op::kConcat, {strings(1, {"a", longer}), strings(1, {"b", "c"})})) ==
        (std::vector<std::string>{"a", "b", longer, "c"}));
  CHECK_EQ(text_of(run_step(Op::kConcat, {doubles(1, {4})})), expected({4}));
  CHECK(contains(refusal(Op::kConcat, {doubles(1, {1}), floats(1, {1})}), "float32"));
  CHECK(!refusal(Op::kConcat, {doubles(1, {1})}, {array_of({1.0})}).empty());
}

TEST(columns_are_taken_in_any_order) {
  const Tensor x = doubles(4, {1, 2, 3, 4, 5, 6, 7, 8});
  const auto take = [&x](const std::vector<std::int32_t>& columns) {
    return text_of(run_step(Op::kTakeColumns, {x}, {array_of(columns)}));
  };
  CHECK_EQ(take({1, 2}), expected({2, 3, 6, 7}));
  CHECK_EQ(take({3}), expected({4, 8}));
  CHECK_EQ(take({3, 0, 0}), expected({4, 1, 1, 8, 5, 5}));
  CHECK_EQ(take({0, 1, 2, 3}), expected({1, 2, 3, 4, 5, 6, 7, 8}));
  const Tensor names = strings(2, {"a", "b", "c", "d"});
  CHECK(texts_of(run_step(Op::kTakeColumns, {names}, {array_of<std::int32_t>({1, 0})})) ==
        (std::vector<std::string>{"b", "a", "d", "c"}));
  CHECK(texts_of(run_step(Op::kTakeColumns, {names}, {array_of<std::int32_t>({1})})) ==
        (std::vector<std::string>{"b", "d"}));
  for (const std::vector<std::int32_t>& bad : {std::vector<std::int32_t>{}, {4}, {-1}}) {
    CHECK(!refusal(Op::kTakeColumns, {x}, {array_of(bad)}).empty());
  }
  CHECK(contains(refusal(Op::kTakeColumns, {x}, {array_of<std::int64_t>({1})}), "int64"));
}

TEST(casts) {
  constexpr double kFloat32 = 11;
  constexpr double kFloat64 = 12;
  constexpr double kInt64 = 4;
  const Tensor x = doubles(1, {1.9, -1.9, 0.1, 1e300, kNaN});
  CHECK_EQ(text_of<float>(run_step(Op::kCast, {x}, {}, {kFloat32})),
           expected<float>({1.9F, -1.9F, 0.1F, std::numeric_limits<float>::infinity(),
                            std::numeric_limits<float>::quiet_NaN()}));
  constexpr std::int64_t kLowest = std::numeric_limits<std::int64_t>::min();
  CHECK_EQ(text_of<std::int64_t>(run_step(Op::kCast, {x}, {}, {kInt64})),
           expected<std::int64_t>({1, -1, 0, kLowest, kLowest}));
  CHECK_EQ(text_of(run_step(Op::kCast, {floats(1, {0.1F})}, {}, {kFloat64})),
           expected({static_cast<double>(0.1F)}));
  CHECK_EQ(text_of(run_step(Op::kCast, {integers(1, {1LL << 53, -3})}, {}, {kFloat64})),
           expected({9007199254740992.0, -3}));
  const Tensor flags = tensor_of<std::uint8_t>(DType::kBool, 2, {0, 1, 1, 0});
  CHECK_EQ(text_of(run_step(Op::kCast, {flags}, {}, {kFloat64})), expected({0, 1, 1, 0}));
  CHECK(!refusal(Op::kCast, {x}, {}, {3}).empty());
  CHECK(!refusal(Op::kCast, {x}, {}, {13}).empty());
  CHECK(!refusal(Op::kCast, {x}, {}, {kNaN}).empty());
  CHECK(!refusal(Op::kCast, {strings(1, {"1"})}, {}, {kFloat64}).empty());
}

TEST(interpolate_clips_and_hits_its_knots) {
  const std::vector<WrittenArray> line{array_of({0.0, 1.0, 3.0}), array_of({0.0, 10.0, 0.0})};
  const Tensor x = doubles(1, {-1, 0, 0.25, 1, 2, 3, 4, kNaN, kInf, -kInf});
  CHECK_EQ(text_of(run_step(Op::kInterpolate, {x}, line)),
           expected({0, 0, 2.5, 10, 5, 0, 0, kNaN, 0, 0}));
  CHECK_EQ(text_of(run_step(Op::kInterpolate, {x}, {array_of({1.0}), array_of({7.0})})),
           expected({7, 7, 7, 7, 7, 7, 7, kNaN, 7, 7}));
  // A level line between infinite heights is level, and a step is taken at its knot.
  CHECK_EQ(text_of(run_step(Op::kInterpolate, {doubles(1, {0.5, 1})},
                            {array_of({0.0, 1.0, 1.0}), array_of({kInf, kInf, 2.0})})),
           expected({kInf, 2}));
  CHECK(!refusal(Op::kInterpolate, {x}, {array_of({}), array_of({})}).empty());
  CHECK(!refusal(Op::kInterpolate, {x}, {array_of({1.0, 0.0}), array_of({1.0, 1.0})}).empty());
  CHECK(!refusal(Op::kInterpolate, {x}, {array_of({1.0, kNaN}), array_of({1.0, 1.0})}).empty());
  CHECK(!refusal(Op::kInterpolate, {x}, {array_of({1.0}), array_of({1.0, 2.0})}).empty());
}

TEST(one_hot_sets_one_or_none) {
  const Tensor x = doubles(1, {1, 3, 0, 4, 1.5, kNaN, -kInf});
  CHECK_EQ(text_of(run_step(Op::kOneHot, {x}, {}, {3, 1})),
           expected({1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}));
  CHECK(!refusal(Op::kOneHot, {x}, {}, {0, 1}).empty());
  CHECK(!refusal(Op::kOneHot, {x}, {}, {1048577, 1}).empty());
  CHECK(!refusal(Op::kOneHot, {x}, {}, {2, kNaN}).empty());
}

TEST(digitize_counts_edges) {
  const Tensor x = doubles(1, {-1, 0, 0.5, 1, 2, kNaN});
  const WrittenArray edges = array_of({0.0, 1.0, 1.0});
  CHECK_EQ(text_of(run_step(Op::kDigitize, {x}, {edges}, {1})), expected({0, 1, 1, 3, 3, 3}));
  CHECK_EQ(text_of(run_step(Op::kDigitize, {x}, {edges}, {0})), expected({0, 0, 1, 1, 3, 3}));
  CHECK_EQ(text_of(run_step(Op::kDigitize, {x}, {array_of({})}, {0})),
           expected({0, 0, 0, 0, 0, 0}));
  CHECK(!refusal(Op::kDigitize, {x}, {array_of({1.0, 0.0})}, {0}).empty());
  CHECK(!refusal(Op::kDigitize, {x}, {edges}, {2}).empty());
}

TEST(numbers_are_looked_up) {
  const Tensor x = doubles(1, {5, -1, 0, 4.5, kNaN, kInf});
  const auto run = [&x](const WrittenArray& keys, const WrittenArray& results) {
    return text_of(run_step(Op::kLookupNumber, {x}, {keys, results}, {-9}));
  };
  CHECK_EQ(run(array_of({-1.0, -0.0, 5.0}), array_of({10.0, 20.0, 30.0})),
           expected({30, 10, 20, -9, -9, -9}));
  CHECK_EQ(run(array_of({5.0, kNaN}), array_of({1.0, 2.0})), expected({1, -9, -9, -9, 2, -9}));
  CHECK_EQ(run(array_of({}), array_of({})), expected({-9, -9, -9, -9, -9, -9}));
  const auto refused = [&x](const WrittenArray& keys, const WrittenArray& results) {
    return !refusal(Op::kLookupNumber, {x}, {keys, results}, {0}).empty();
  };
  CHECK(refused(array_of({1.0, 1.0}), array_of({1.0, 2.0})));
  CHECK(refused(array_of({2.0, 1.0}), array_of({1.0, 2.0})));
  CHECK(refused(array_of({kNaN, 1.0}), array_of({1.0, 2.0})));
  CHECK(refused(array_of({1.0, kNaN, kNaN}), array_of({1.0, 2.0, 3.0})));
  CHECK(refused(array_of({1.0}), array_of({1.0, 2.0})));
}

TEST(text_is_looked_up) {
  std::vector<WrittenArray> table = texts({"", "b", "b\xc3\xa9", "c"});
  table.push_back(array_of({1.0, 2.0, 3.0, 4.0}));
  const Tensor x =
      strings(1, {"b", "", "b\xc3\xa9", "a", "d", std::string(kMissingString), "c", "bb"});
  CHECK_EQ(text_of(run_step(Op::kLookupText, {x}, table, {-1, kNaN})),
           expected({2, 1, 3, -1, -1, kNaN, 4, -1}));
  const auto refused = [&x](std::vector<WrittenArray> arrays, std::size_t results) {
    arrays.push_back(array_of(std::vector<double>(results)));
    return refusal(Op::kLookupText, {x}, arrays, {0, 0});
  };
  CHECK(contains(refused(texts({"b", "a"}), 2), "ascend"));
  CHECK(contains(refused(texts({"a", "a"}), 2), "ascend"));
  CHECK(contains(refused(texts({"a", "b"}), 1), "result a key"));
  CHECK(contains(refused(texts({"\xff"}), 1), "UTF-8"));
  const WrittenArray bytes = array_of<std::uint8_t>({'a', 'b'});
  CHECK(contains(refused({array_of<std::int64_t>({1}), bytes}, 1), "ends"));
  CHECK(contains(refused({array_of<std::int64_t>({-1, 2}), bytes}, 2), "ends"));
  CHECK(contains(refused({array_of<std::int64_t>({2, 1, 2}), bytes}, 3), "ends"));
  CHECK(contains(refused({array_of<std::int64_t>({3}), bytes}, 1), "ends"));
  CHECK(contains(refused({array_of<std::int64_t>({}), bytes}, 0), "ends"));
  CHECK_EQ(refused(texts({}), 0), "");
}

TEST(the_first_largest_is_chosen) {
  const Tensor x = doubles(3, {1, 2, 2, 3, 1, 2, -kInf, -kInf, -kInf, 1, kNaN, 5});
  CHECK_EQ(text_of<std::int64_t>(run_step(Op::kArgmax, {x})), expected<std::int64_t>({1, 0, 0, 1}));
  CHECK_EQ(text_of<std::int64_t>(run_step(Op::kArgmax, {floats(2, {1, 2, 2, 1})})),
           expected<std::int64_t>({1, 0}));
  CHECK(!refusal(Op::kArgmax, {integers(1, {1})}).empty());
}

TEST(greater_with_and_without_equality) {
  const Tensor x = doubles(1, {0.4, 0.5, 0.6, kNaN});
  CHECK_EQ(text_of<std::int64_t>(run_step(Op::kGreater, {x}, {}, {0.5, 0})),
           expected<std::int64_t>({0, 0, 1, 0}));
  CHECK_EQ(text_of<std::int64_t>(run_step(Op::kGreater, {x}, {}, {0.5, 1})),
           expected<std::int64_t>({0, 1, 1, 0}));
  CHECK_EQ(text_of<std::int64_t>(run_step(Op::kGreater, {floats(1, {0.5F})}, {}, {0.5, 1})),
           expected<std::int64_t>({1}));
  CHECK(!refusal(Op::kGreater, {doubles(2, {1, 2})}, {}, {0.5, 0}).empty());
}

// x -> argmax -> label.
std::string label_file(Op op, const std::vector<WrittenArray>& table) {
  ForestWriter writer;
  const auto x = writer.input("x", DType::kFloat64, 3);
  writer.output("label", writer.step(op, {writer.step(Op::kArgmax, {x})}, table), true);
  return writer.bytes();
}

TEST(classes_get_their_labels) {
  const Tensor rows[] = {doubles(3, {1, 0, 0, 0, 0, 1})};
  const Loaded integer(label_file(Op::kLabelNumber, {array_of<std::int64_t>({-5, 6, 1LL << 60})}));
  REQUIRE(integer.status().is_ok());
  CHECK_EQ(text_of<std::int64_t>(integer.run(rows)[0]), expected<std::int64_t>({-5, 1LL << 60}));
  const Loaded number(label_file(Op::kLabelNumber, {array_of({0.5, 1.5, kNaN})}));
  REQUIRE(number.status().is_ok());
  CHECK_EQ(text_of(number.run(rows)[0]), expected({0.5, kNaN}));
  const std::string name(30, 'n');
  const Loaded text(label_file(Op::kLabelText, texts({"setosa", "", name})));
  REQUIRE(text.status().is_ok());
  CHECK(texts_of(text.run(rows)[0]) == (std::vector<std::string>{"setosa", name}));
}

TEST(a_class_without_a_label_is_refused_at_load) {
  const auto complaint = [](const std::string& bytes) { return Loaded(bytes).status().message(); };
  CHECK(contains(complaint(label_file(Op::kLabelText, texts({"a", "b"}))), "no label"));
  CHECK(contains(complaint(label_file(Op::kLabelNumber, {array_of({1.0, 2.0})})), "no label"));
  CHECK(contains(refusal(Op::kLabelNumber, {integers(1, {1})}, {array_of({1.0, 2.0})}), "argmax"));
  CHECK(contains(refusal(Op::kLabelText, {integers(1, {1})}, texts({"a", "b"})), "argmax"));
}

}  // namespace
}  // namespace slipstream::forest
