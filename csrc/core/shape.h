// Shape: the dimensions of a tensor, of any rank. Up to kInlineRank of them live inside the
// object, so that describing an ordinary tensor allocates nothing on the request path.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <span>
#include <string>
#include <utility>

namespace slipstream {

class Shape {
 public:
  static constexpr std::size_t kInlineRank = 6;

  Shape() noexcept = default;
  Shape(std::initializer_list<std::int64_t> dims) : Shape(std::span(dims.begin(), dims.size())) {}
  explicit Shape(std::span<const std::int64_t> dims) : rank_(dims.size()) {
    if (rank_ > kInlineRank) heap_ = std::make_unique<std::int64_t[]>(rank_);
    std::copy(dims.begin(), dims.end(), data());
  }
  Shape(const Shape& other) : Shape(other.dims()) {}
  Shape(Shape&& other) noexcept : heap_(std::move(other.heap_)) { take(other); }
  Shape& operator=(const Shape& other) { return *this = Shape(other); }
  Shape& operator=(Shape&& other) noexcept {
    heap_ = std::move(other.heap_);
    take(other);
    return *this;
  }
  ~Shape() = default;

  [[nodiscard]] std::size_t rank() const noexcept { return rank_; }
  [[nodiscard]] std::span<const std::int64_t> dims() const noexcept { return {data(), rank_}; }
  [[nodiscard]] std::int64_t operator[](std::size_t axis) const noexcept { return data()[axis]; }
  void set_dim(std::size_t axis, std::int64_t dim) noexcept { data()[axis] = dim; }

  // Product of all dimensions; 1 for a scalar (rank 0).
  [[nodiscard]] std::int64_t elements() const noexcept { return product(0); }
  // Product of the dimensions behind the first; 1 for rank 0 and 1.
  [[nodiscard]] std::int64_t elements_per_row() const noexcept { return product(1); }

  // The same shape with another first dimension. Precondition: rank() >= 1.
  [[nodiscard]] Shape with_rows(std::int64_t rows) const {
    Shape shape(*this);
    shape.set_dim(0, rows);
    return shape;
  }

  friend bool operator==(const Shape& a, const Shape& b) noexcept {
    return std::ranges::equal(a.dims(), b.dims());
  }

 private:
  [[nodiscard]] const std::int64_t* data() const noexcept {
    return heap_ ? heap_.get() : inline_.data();
  }
  [[nodiscard]] std::int64_t* data() noexcept { return heap_ ? heap_.get() : inline_.data(); }
  // Unsigned, since nothing bounds the dimensions before a 0, and the product is 0 all the same.
  [[nodiscard]] std::int64_t product(std::size_t first) const noexcept {
    std::uint64_t result = 1;
    for (std::size_t axis = first; axis < rank_; ++axis) {
      result *= static_cast<std::uint64_t>(data()[axis]);
    }
    return static_cast<std::int64_t>(result);
  }

  // Dimensions one by one, and only those that there are: wider copies of what was just written in
  // parts wait until it has reached the cache.
  void take(Shape& other) noexcept {
    rank_ = std::exchange(other.rank_, 0);
#pragma GCC unroll 6
    for (std::size_t axis = 0; axis < kInlineRank; ++axis) {
      if (axis >= rank_) break;
      inline_[axis] = other.inline_[axis];
    }
  }

  std::size_t rank_ = 0;
  std::array<std::int64_t, kInlineRank> inline_{};
  std::unique_ptr<std::int64_t[]> heap_;
};

// "[2, 30]"; -1 (any) prints as "?".
[[nodiscard]] std::string to_string(std::span<const std::int64_t> dims);

}  // namespace slipstream
