#include "core/tensor.h"

#include <cstdint>

#include "harness.h"

namespace slipstream {
namespace {

TEST(allocate_aligns_and_counts) {
  const Tensor tensor = Tensor::allocate(DType::kFloat64, {3, 4});
  CHECK_EQ(reinterpret_cast<std::uintptr_t>(tensor.data()) % Tensor::kAlignment, 0U);
  CHECK_EQ(tensor.rows(), 3);
  CHECK_EQ(tensor.row_bytes(), 32U);
  CHECK_EQ(tensor.bytes(), 96U);
}

TEST(slice_shares_memory_and_outlives_the_whole) {
  Tensor slice;
  {
    Tensor whole = Tensor::allocate(DType::kInt32, {4, 2});
    for (int i = 0; i < 8; ++i) whole.as<std::int32_t>()[static_cast<std::size_t>(i)] = i;
    slice = whole.slice_rows(1, 3);
  }
  CHECK_EQ(slice.rows(), 2);
  CHECK_EQ(slice.as<std::int32_t>()[0], 2);
  CHECK_EQ(slice.as<std::int32_t>()[3], 5);
}

TEST(string_elements_are_constructed_and_destroyed) {
  Tensor tensor = Tensor::allocate(DType::kString, {2});
  CHECK_EQ(tensor.strings()[1], "");
  tensor.strings()[1] = std::string(1000, 'x');  // ASan's leak check proves the destructor ran
  CHECK_EQ(tensor.strings()[1].size(), 1000U);
}

TEST(shape_of_high_rank_lives_on_the_heap) {
  Shape shape{1, 2, 3, 1, 2, 3, 4, 5};
  Shape copy = shape;
  copy.set_dim(7, 6);
  CHECK_EQ(shape.elements(), 720);
  CHECK_EQ(copy.elements(), 864);
  CHECK(!(shape == copy));
  const Shape moved = std::move(copy);
  CHECK_EQ(moved.rank(), 8U);
}

TEST(scalar_is_one_row_of_one_element) {
  const Tensor scalar = Tensor::allocate(DType::kInt64, Shape{});
  CHECK_EQ(scalar.elements(), 1);
  CHECK_EQ(scalar.rows(), 1);
}

TEST(dtype_names_round_trip) {
  for (int i = 0; i < kDTypeCount; ++i) {
    const auto dtype = static_cast<DType>(i);
    CHECK(dtype_from_name(dtype_name(dtype)) == dtype);
  }
  CHECK(!dtype_from_name("float128").has_value());
}

}  // namespace
}  // namespace slipstream
