// The vector operations of kernels_body.h in the compiler's own vectors: whatever width the
// including file asks for, on any machine (SSE2, AVX2, NEON).
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace slipstream::forest::SLIPSTREAM_SIMD {
namespace {

// Of 16 ascending floats, how many are below `key`. NaN: none.
inline std::uint32_t count_below_16(const float* keys, float key) noexcept {
  std::uint32_t count = 0;
  for (std::size_t i = 0; i < 16; ++i) count += static_cast<std::uint32_t>(keys[i] < key);
  return count;
}

// Of 8 ascending numbers, how many are below `x`. NaN: none.
template <class Value>
std::uint32_t count_below_8(const Value* thresholds, Value x) noexcept {
  std::uint32_t count = 0;
  for (std::size_t i = 0; i < 8; ++i) count += static_cast<std::uint32_t>(thresholds[i] < x);
  return count;
}

// Whether one of 16 floats is `key`; a number that is not 0.
inline std::uint32_t any_equal_16(const float* keys, float key) noexcept {
  std::uint32_t any = 0;
  for (std::size_t i = 0; i < 16; ++i) any |= static_cast<std::uint32_t>(keys[i] == key);
  return any;
}

template <class Lane>
struct Vector {
  static constexpr std::size_t kLanes = SLIPSTREAM_SIMD_BYTES / sizeof(Lane);
  typedef Lane Type __attribute__((vector_size(SLIPSTREAM_SIMD_BYTES)));

  static Type zero() noexcept { return Type{}; }
  static Type splat(Lane x) noexcept { return Type{} + x; }
  static Type load(const Lane* p) noexcept {
    Type v;
    std::memcpy(&v, p, sizeof v);
    return v;
  }
  static void store(Lane* p, Type v) noexcept { std::memcpy(p, &v, sizeof v); }
  // cur == low && value > threshold ? middle : cur
  static Type advance(Type cur, Type low, const Lane* value, Type threshold, Type middle) noexcept {
    const Type take =
        reinterpret_cast<Type>(cur == low) & reinterpret_cast<Type>(load(value) > threshold);
    return (take & middle) | (~take & cur);
  }
};

template <class Lane, class Sum>
void add_leaves(const Sum* leaves, std::size_t /*leaf_count*/, const Lane* index, Sum* sums,
                std::size_t n) noexcept {
  for (std::size_t i = 0; i < n; ++i) sums[i] += leaves[index[i]];
}

constexpr void (*kLockstep)(const LockstepTask&) = nullptr;
constexpr void (*kBlocks)(const BlocksTask&) = nullptr;
constexpr void (*kLevels8)(const LevelsTask<std::uint8_t>&, std::size_t) = nullptr;
constexpr void (*kLevels16)(const LevelsTask<std::uint16_t>&, std::size_t) = nullptr;

}  // namespace
}  // namespace slipstream::forest::SLIPSTREAM_SIMD
